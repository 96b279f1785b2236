"""Programs for the tests of properties: those of recipes/, and texts as if they were among them."""

from __future__ import annotations

import functools

from m3i_dsl.driver import check_file
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.testing import Case, case_of
from tests.numerics.recipes import ROOT

_HALF = """m3i 1
recipe half
use "data.m3i"
use "encoders.m3i"
objective half {{
  input     masked view1 by random(50%{tokens})
  represent dense feature of image
  target own {{
    data           view1
    representation dense pixels
    predictor      decoder(layers: 1, heads: 3)
    regularization none
    distribution   gaussian
  }}
}}
train {{
  batch     128
  epochs    1
  optimizer adamw(lr: 1e-3)
}}
"""

HALF = _HALF.format(tokens="")
"""As many tokens hidden as visible, so that a mask can be inverted without a change of shape."""

HALF_REPLACED = _HALF.format(tokens=", tokens: mask")


def program(text: str, name: str = "text.m3i") -> Program:
    """The program of a text."""
    return check_file(SourceFile(str(ROOT / name), text)).required()


@functools.cache
def program_named(name: str) -> Program:
    """The program of recipes/NAME.m3i."""
    return program((ROOT / f"{name}.m3i").read_text(encoding="utf-8"), f"{name}.m3i")


@functools.cache
def case_named(name: str) -> Case:
    """The case of recipes/NAME.m3i; not to be changed by a test."""
    return case_of(program_named(name))
