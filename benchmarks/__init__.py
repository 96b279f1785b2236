"""Measurements that take too long for a test. Run from the repository's root."""
