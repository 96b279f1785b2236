"""m3ic: a compiler from pre-training recipes to trained and evaluated encoders.

Each phase has a folder of its own, in the order in which `driver.py` calls them; README.md has the table.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
