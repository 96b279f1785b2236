"""How long a recipe trains: what `epochs`, `steps` and `samples` may be followed by, and what they may not."""

from __future__ import annotations

import pytest

from m3i_dsl.driver import check_file
from m3i_dsl.vocabulary.values import Duration
from tests.semantics.masked import masked


@pytest.mark.parametrize(
    ("written", "length", "warmup"),
    [
        ("epochs 10", Duration(10, "epochs"), Duration(0, "%")),
        ("epochs 2.5 epochs", Duration(2.5, "epochs"), Duration(0, "%")),
        ("steps 400, warmup 40", Duration(400, "steps"), Duration(40, "steps")),
        ("samples 4000 samples, warmup a_tenth", Duration(4000, "samples"), Duration(0.1, "%")),
        ("epochs 10, warmup 100 steps", Duration(10, "epochs"), Duration(100, "steps")),
    ],
)
def test_a_plain_number_has_the_unit_of_its_keyword(written: str, length: Duration, warmup: Duration) -> None:
    training = check_file(masked(written)).program
    assert training is not None
    assert (training.training.length, training.training.warmup) == (length, warmup)


@pytest.mark.parametrize(
    ("written", "code", "place", "message"),
    [
        ("epochs 10 steps", "M3I0202", "10 steps", "`epochs` counts epochs, but the value is "),
        ("steps 2.5", "M3I0201", "2.5", "`steps` is a whole number"),
        ("epochs 10, 5%", "M3I0201", "5%", "`epochs` may be followed by `warmup` and its length only"),
        ("epochs 10, warmup", "M3I0201", "warmup", "`epochs` may be followed by `warmup` and its length only"),
        ("epochs 10, warmup 5%, warmup 2%", "M3I0205", "warmup 2%", "there is nothing to say after `warmup`"),
        ("epochs 10, warmup 5px", "M3I0202", "5px", "`warmup` is a length of training, but the value is "),
        ("epochs 10, warmup -5%", "M3I0203", "-5%", "`warmup` must be at least 0"),
        ("epochs 10, warmup 11 epochs", "M3I0203", "11 epochs", ""),
    ],
)
def test_what_is_no_length(written: str, code: str, place: str, message: str) -> None:
    found = [d for d in check_file(masked(written)).diagnostics if d.code != "M3I0806"]
    assert [(d.code, d.span.text) for d in found] == [(code, place)]
    assert found[0].message.startswith(message)
