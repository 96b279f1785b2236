"""Diagnostics: model, catalogue of codes, renderers."""

from m3i_dsl.diagnostics.model import (
    Diagnostic,
    Diagnostics,
    Fix,
    Label,
    RecipeError,
    Severity,
    error,
)
from m3i_dsl.diagnostics.render import FORMATS, Format, render

__all__ = [
    "FORMATS",
    "Diagnostic",
    "Diagnostics",
    "Fix",
    "Format",
    "Label",
    "RecipeError",
    "Severity",
    "error",
    "render",
]
