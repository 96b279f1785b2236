"""`m3ic check --fix`, `--ignore`, `-D` and `--statistics`."""

from __future__ import annotations

from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.diagnostics import Fix, error
from m3i_dsl.diagnostics.fixes import fixed_texts
from m3i_dsl.source import SourceFile, Span

GOOD = """m3i 1
recipe example

param size = 32px

data digits = embedded("digits")

view view1 of digits.image = crop(size, scale: 40%..100%)
view view2 of digits.image = crop(size) | flip

encoder image = timm("vit_tiny_patch16_224", image: size, patch: 8px, width: 48, depth: 2, heads: 3)
encoder slow  = ema of image(0.996 -> 1 cosine)

objective siamese {
  input     view2
  represent dense feature of image

  target instance {
    data           view1
    representation global feature(pool: mean) of slow
    predictor      mlp
    regularization stop gradient
    distribution   gaussian
  }
}

train {
  batch     64
  epochs    10
  optimizer adamw(lr: 1e-3, weight_decay: 0.1)
}
"""

MISSPELT = (
    ("crop(size, scale: 40%", "crop(size, scale: 40"),
    ("flip", "flipp"),
    ("of digits.image = crop(size) ", "of digit.image = crop(size) "),
    ("patch: 8px", "patch: 8"),
    ("stop gradient", "stop_gradient"),
    ("gaussian", "mse"),
    ("pool: mean", "pool: gap"),
    ("of slow", "of slw"),
    ("-> 1 cosine", "-> 1 cosin"),
    ("weight_decay: 0.1", "wd: 0.1"),
    ("  optimizer", "  optimiser"),
)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("recipe.m3i")


def _misspelt() -> str:
    text = GOOD
    for right, wrong in MISSPELT:
        assert right in text
        text = text.replace(right, wrong, 1)
    return text


def test_misspelt_words_and_missing_units_are_fixed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(_misspelt(), encoding="utf-8")
    assert main(["check", "--fix", str(recipe)]) == 0
    assert recipe.read_text(encoding="utf-8") == GOOD
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "fixed 11 in recipe.m3i\nchecked 1 file: nothing wrong\n"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("scale: 40%..100%", "scale: 0.4..1"),  # a share of 1, or less than a percent?
        ("heads: 3", "heads: 3%"),
        ("data           view1", "data           view3"),  # may be missing rather than misspelt
        ("param size = 32px", "param size = 32"),  # may be right where else it is used
    ],
)
def test_what_could_mean_something_else_is_left_alone(recipe: Path, right: str, wrong: str) -> None:
    text = GOOD.replace(right, wrong, 1)
    recipe.write_text(text, encoding="utf-8")
    assert main(["check", "--fix", str(recipe)]) == 1
    assert recipe.read_text(encoding="utf-8") == text


def test_used_files_are_fixed_too(recipe: Path) -> None:
    head, _, rest = GOOD.partition("objective")
    Path("parts.m3i").write_text("m3i 1\n" + head.partition("recipe example\n")[2].replace("flip", "flipp"), "utf-8")
    recipe.write_text(f'm3i 1\nrecipe example\nuse "parts.m3i"\n\nobjective{rest}', encoding="utf-8")
    assert main(["check", "--fix", str(recipe)]) == 0
    assert "flip\n" in Path("parts.m3i").read_text(encoding="utf-8")


def test_standard_input_is_not_fixed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.read", lambda _: GOOD, raising=False)
    assert main(["check", "--fix", "-"]) == 2
    assert "standard input is none" in capsys.readouterr().err


def test_fixes_that_overlap_are_applied_one_at_a_time() -> None:
    file = SourceFile("r.m3i", "abcdef")
    places = [(0, 2, "X"), (1, 3, "Y"), (3, 3, "-"), (4, 6, "Z")]
    found = [error("M3I0001", "m", Span(file, 0, 1), fix=Fix(Span(file, s, e), text)) for s, e, text in places]
    found.append(error("M3I0001", "m", Span(file, 0, 1), fix=Fix(Span(file, 3, 4), "unsafe", safe=False)))
    assert list(fixed_texts(found).values()) == [("Xc-dZ", 3)]


# --- levels -----------------------------------------------------------------------------------------------------------

UNUSED = GOOD.replace("data digits", "param other = 1\n\ndata digits")


def test_a_lint_is_ignored_or_denied_by_code_or_name(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(UNUSED, encoding="utf-8")
    assert main(["check", "--output-format", "concise", str(recipe)]) == 0
    assert "warning[M3I0806]" in capsys.readouterr().out
    for lint in ("M3I0806", "unused"):
        assert main(["check", "--ignore", lint, str(recipe)]) == 0
        assert capsys.readouterr().out == ""
        assert main(["check", "--output-format", "concise", "-D", lint, str(recipe)]) == 1
        assert "error[M3I0806]" in capsys.readouterr().out


def test_an_error_has_no_level(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(UNUSED, encoding="utf-8")
    assert main(["check", "--ignore", "collapse", str(recipe)]) == 2
    assert "M3I0301 is an error, and stays one" in capsys.readouterr().err
    assert main(["check", "--deny", "unusd", str(recipe)]) == 2
    assert "there is no lint `unusd`" in capsys.readouterr().err


def test_statistics_count_codes(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(_misspelt(), encoding="utf-8")
    assert main(["check", "--statistics", str(recipe)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["2", "M3I0202", "wrong-unit"] for line in lines)
    assert [int(line.split()[0]) for line in lines] == sorted((int(line.split()[0]) for line in lines), reverse=True)
