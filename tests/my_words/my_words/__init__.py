"""Words of a laboratory: one file a word."""
