"""A fault of a value that `--set` gives is shown at its text, with the place that it does not fit as the second one."""

from __future__ import annotations

import pytest

from m3i_dsl.diagnostics import Diagnostic
from m3i_dsl.driver import Checked, check_file
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value

RECIPE = """
m3i 1
recipe example

param size    = 32px
param heads   = 3
param rate    = 1e-3 per 256
param scale   = learned 0.07
param augment = crop(size) | flip
param depth   = heads
param ending  = warm
param warm    = 10%

data digits = embedded("digits")

view view1 of digits.image = augment

encoder image = timm("vit_tiny_patch16_224", image: size, patch: 8px, width: 48, depth: depth, heads: heads)

objective o {
  input     view1
  represent dense feature of image

  target t {
    data           category
    representation category embedding
    predictor      linear
    regularization negative categories
    distribution   boltzmann(temperature: scale)
  }
}

train {
  batch     64
  epochs    10, warmup ending
  optimizer adamw(lr: rate)
}
"""


def _checked(**settings: str) -> Checked:
    values = {name: parse_value(text, f"<--set {name}>") for name, text in settings.items()}
    return check_file(SourceFile("recipe.m3i", RECIPE), values)


def _only(**settings: str) -> Diagnostic:
    (found,) = _checked(**settings).diagnostics
    return found


def test_values_replace_defaults() -> None:
    program = _checked(heads="4", rate="0.01", scale="0.2", augment="crop(size)", warm="5%").required()
    assert program.parameters["depth"] == "4", "a param that names another"
    image = program.encoders["image"].word
    assert (image.word.depth, image.word.heads) == (4, 4)  # type: ignore[attr-defined]
    assert program.training.optimizer.word.lr.value == 0.01  # type: ignore[attr-defined]
    assert [t.word.name for t in program.views["view1"].transforms] == ["crop", "normalize"]
    assert program.training.warmup.value == 0.05


def test_a_param_may_name_one_that_is_defined_later() -> None:
    assert _checked().required().parameters["ending"] == "10%"


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [("size", "64", "32px"), ("heads", '"3"', "3"), ("rate", "10%", "1e-3 per 256"), ("depth", "crop(1px)", "3")],
)
def test_another_type_than_that_of_the_default(name: str, value: str, default: str) -> None:
    found = _only(**{name: value})
    assert found.code == "M3I0204"
    assert (found.span.file.name, found.span.text) == (f"<--set {name}>", value)
    assert found.secondary[0].span.text == default


def test_a_param_that_does_not_exist() -> None:
    found = _only(sizes="32px")
    assert found.code == "M3I0129"
    assert found.span.file.name == "<--set sizes>"
    assert found.helps == ("did you mean `size`?",)


def test_a_param_that_is_like_none_of_many_is_told_all_of_them() -> None:
    text = RECIPE + "".join(f"param more{number} = {number}\n" for number in range(9))
    found = check_file(SourceFile("recipe.m3i", text), {"zzz": parse_value("1", "<--set zzz>")}).diagnostics
    (help_,) = next(d.helps for d in found if d.code == "M3I0129")
    assert help_.startswith("its params are `size`, ") and "`more8`" in help_


def test_a_choice_is_not_told_to_be_a_param_that_holds_none() -> None:
    text = RECIPE.replace("heads: heads)", "heads: heads, fit: hads)")
    (found,) = check_file(SourceFile("recipe.m3i", text)).diagnostics
    assert (found.code, found.helps) == ("M3I0201", ())


@pytest.mark.parametrize(
    ("name", "value", "code", "used"),
    [
        ("heads", "0", "M3I0203", "depth"),  # out of range for a param that names this one
        ("heads", "5", "M3I0206", "heads"),  # does not divide the width
        ("size", "30px", "M3I0206", "size"),  # is no multiple of the patch
        ("rate", "0", "M3I0203", "rate"),
        ("warm", "200%", "M3I0203", "10"),  # longer than training
    ],
)
def test_a_value_that_does_not_fit_where_it_is_used(name: str, value: str, code: str, used: str) -> None:
    found = next(iter(d for d in _checked(**{name: value}).diagnostics if d.code == code))
    assert (found.span.file.name, found.span.text) == (f"<--set {name}>", value)
    assert used in [label.span.text for label in found.secondary]


def test_a_fault_inside_a_value() -> None:
    found = _only(augment="crop(size) | flipp")
    assert found.code == "M3I0122"
    assert (found.span.file.name, found.span.text) == ("<--set augment>", "flipp")


def test_a_value_that_is_wrong_everywhere_is_reported_once() -> None:
    codes = [diagnostic.code for diagnostic in _checked(heads="0").diagnostics]
    assert codes == ["M3I0203", "M3I0203"], "as `heads`, and as `depth`, which names it: two arguments"


def test_a_parameter_that_did_not_parse_is_not_missing() -> None:
    text = RECIPE.replace("param warm    = 10%", "param warm    = = 10%")
    values = {name: parse_value("5%", f"<--set {name}>") for name in ("warm", "cold")}
    found = check_file(SourceFile("recipe.m3i", text), values).diagnostics
    assert [d.message for d in found if d.code == "M3I0129"] == ["the recipe has no `param cold`"]
