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

__all__ = ["Diagnostic", "Diagnostics", "Fix", "Label", "RecipeError", "Severity", "error"]
