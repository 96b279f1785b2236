"""Random recipes that are right; they are public, and the tests use what users do."""

from __future__ import annotations

from m3i_dsl.testing.strategies import recipes

__all__ = ["recipes"]
