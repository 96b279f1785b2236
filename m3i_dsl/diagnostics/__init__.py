"""Diagnostics: model, catalogue of codes, renderers."""

from m3i_dsl.diagnostics.model import (
    MOST_ERRORS,
    Diagnostic,
    Diagnostics,
    Fix,
    Label,
    RecipeError,
    Severity,
    TooManyErrors,
    error,
)
from m3i_dsl.diagnostics.render import FORMATS, Format, render

__all__ = [
    "FORMATS",
    "MOST_ERRORS",
    "Diagnostic",
    "Diagnostics",
    "Fix",
    "Format",
    "Label",
    "RecipeError",
    "Severity",
    "TooManyErrors",
    "error",
    "render",
]
