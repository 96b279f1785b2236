"""What a small text may stand for is bounded: each of these would once have taken minutes, or all memory."""

from __future__ import annotations

import pytest

from m3i_dsl.driver import check_file
from m3i_dsl.source import SourceFile

RECIPE = """\
m3i 1
recipe bounded
{params}
data digits = embedded("digits")
view view1 of digits.image = {crop}
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 3)
objective pixels {{
  input     masked view1 by random(75%)
  represent dense feature of image
  target pixels {{
    data           view1
    representation dense pixels
    predictor      decoder(layers: 1, heads: 3)
    regularization none
    distribution   gaussian
  }}
}}
train {{
  batch     64
  epochs    10
  optimizer adamw(lr: {rate})
}}
"""


def _codes(params: str = "", crop: str = "crop(32px)", rate: str = "1e-3") -> list[str]:
    text = RECIPE.format(params=params, crop=crop, rate=rate)
    return [diagnostic.code for diagnostic in check_file(SourceFile("bounded.m3i", text)).diagnostics]


def _chain(count: int, first: str = "1e-3") -> str:
    return f"param p0 = {first}\n" + "".join(f"param p{i} = p{i - 1}\n" for i in range(1, count))


def test_a_chain_of_params_has_an_end_and_is_said_once() -> None:
    assert _codes(_chain(64), rate="p63") == []
    assert _codes(_chain(65), rate="p64") == ["M3I0140"]
    assert _codes(_chain(100), rate="p99") == ["M3I0140"]


def test_order_of_params_does_not_matter() -> None:
    turned = "\n".join(reversed(_chain(100).splitlines()))
    assert _codes(turned, rate="p99") == ["M3I0140"]


def test_a_param_that_is_named_as_the_word_that_it_calls_does_not_name_itself() -> None:
    own = "param flip = flip(p: 50%)\n"
    assert "M3I0140" not in _codes(own + _chain(63, "flip"), crop="crop(32px) | p62")
    assert _codes(own + _chain(64, "flip"), crop="crop(32px) | p63") == ["M3I0140"]


@pytest.mark.parametrize(
    "value", ["p | p", "three augment(p: q) | p | p", "flip(p: learned p) | p | p", "mlp(projector: p) | p | p"]
)
def test_params_that_double_are_refused_before_they_are_expanded(value: str) -> None:
    lines = ["param p0 = flip"]
    lines += [f"param p{i} = " + value.replace("p)", f"p{i - 1})").replace("p |", f"p{i - 1} |") for i in range(1, 40)]
    lines = [line[:-1] + f"p{i - 1}" if i and line.endswith("p") else line for i, line in enumerate(lines)]
    found = _codes("\n".join(lines), crop="crop(32px) | p39")
    assert found[0] == "M3I0140" and len(found) < 10


def test_a_circle_among_many_params_is_still_a_circle() -> None:
    assert _codes("param a = b\nparam b = a\nparam c = 1\n", rate="a") == ["M3I0130"]


def test_a_view_has_not_more_steps_than_any_needs() -> None:
    assert "M3I0140" in _codes(crop="crop(32px)" + " | flip" * 64)
    assert "M3I0140" not in _codes(crop="crop(32px)" + " | flip" * 63)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9e307k", "1e999%", "1e999px"])
def test_a_number_above_all_numbers_is_refused_wherever_it_stands(number: str) -> None:
    for text in (
        RECIPE.format(params=f"param a = {number}", crop="crop(32px)", rate="1e-3"),
        RECIPE.format(params="", crop=f"crop({number})", rate="1e-3"),
        RECIPE.format(params="", crop="crop(32px)", rate=number),
        RECIPE.format(params="", crop="crop(32px)", rate="1e-3").replace(
            "random(75%)", f"blocks({number}, minimum: 4)"
        ),
        RECIPE.format(params="", crop="crop(32px)", rate="1e-3").replace("epochs    10", f"epochs {number}"),
        RECIPE.format(params="", crop="crop(32px)", rate="1e-3").replace("epochs    10", f"epochs 10, warmup {number}"),
        RECIPE.format(params="", crop="crop(32px)", rate="1e-3").replace("batch     64", f"batch {number}"),
    ):
        assert "M3I0039" in [d.code for d in check_file(SourceFile("bounded.m3i", text)).diagnostics]


@pytest.mark.parametrize(
    "text",
    [
        "}{)(*&^\n" * 120_000,
        "param a = " + "(" * 1_000_000,
        '"' * 1_000_000,
        'use "' + "\\q" * 500_000 + '"\n',
        "recipe " + "r" * 1_000_000,
        "\r" * 1_000_000,
        "param a = 1" + "0" * 1_000_000,
        "param a = mlp(" + "1," * 500_000 + ")\n",
        "param a = " + "a by " * 200_000 + "a",
        "\0" * 1_000_000,
    ],
    ids=range(10),
)
def test_a_text_of_the_largest_size_is_answered_with_few_words(text: str) -> None:
    found = list(check_file(SourceFile("large.m3i", text)).diagnostics)
    assert found and len(found) <= 3 and sum(len(d.message) for d in found) < 1000
