"""Meaning: names and types, checks, the canonical text, and the instantiation table."""
