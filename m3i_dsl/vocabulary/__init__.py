"""The words of the language: one folder a kind, one file a word."""
