"""`--set` with the path to a setting or an argument, and strings as a shell gives them."""

from __future__ import annotations

import pytest

from m3i_dsl.driver import check_file, resolve
from m3i_dsl.semantics.given import given
from m3i_dsl.source import SourceFile

RECIPE = """\
m3i 1
recipe r
param model = "resnet10t"
param rule  = sgd(lr: 1e-3)
data digits = embedded("digits")
view view1 of digits.image = crop(32px)
view view2 of digits.image = crop(32px)
encoder image    = timm(model, 32px)
encoder momentum = ema of image(0.99)
objective o {
  input     view1
  represent dense feature of image
  target t {
    data           view2
    representation global feature of momentum
    predictor      mlp(hidden: 32)
    regularization stop gradient
    distribution   gaussian
  }
}
train {
  batch     64
  epochs    10, warmup 10%
  optimizer rule
}
"""


def _set(**settings: str) -> tuple[list[str], str]:
    """Codes with the texts that they mark, and the canonical recipe."""
    named = {name.replace("__", "."): text for name, text in settings.items()}
    checked = check_file(SourceFile("r.m3i", RECIPE), {name: given(name, text) for name, text in named.items()})
    codes = [f"{d.code} {d.span.text}" for d in checked.diagnostics if d.severity.value == "error"]
    return codes, "" if checked.program is None else " ".join(resolve(checked.program).split())


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("train__batch", "128", "batch 128"),
        ("train__epochs", "3", "epochs 3, warmup 10%"),
        ("train__clip", "1", "clip 1"),
        ("train__optimizer__lr", "1e-2", "sgd(lr: 0.01"),
        ("train__optimizer__momentum", "50%", ""),
        ("encoder__image__pretrained", "true", "pretrained: true"),
        ("encoder__image__model", "resnet18", 'model: "resnet18"'),
        ("encoder__momentum__momentum", "0.5", "0.5"),
        ("objective__o__weighting", "lossnorm", "weighting lossnorm"),
        ("objective__o__t__weight", "2", "weight 2"),
        ("objective__o__t__predictor__hidden", "64", "hidden: 64"),
        ("model", "resnet18", '"resnet18"'),
        ("model", '"resnet18"', '"resnet18"'),
    ],
)
def test_a_path_leads_to_its_place(path: str, value: str, line: str) -> None:
    codes, text = _set(**{path: value})
    if line:
        assert codes == []
        assert line in text
    else:
        assert codes == [f"M3I0202 {value}"], "a value is held to the unit of its place"


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("train__bach", "64", "M3I0123 64"),
        ("train__batch", "many", "M3I0201 many"),
        ("train__batch", "1.2.3", "M3I00"),
        ("data__digit__limit", "1", "M3I0129 1"),
        ("data__digits", "1", "M3I0129 1"),
        ("trian__batch", "1", "M3I0129 1"),
        ("train", "1", "M3I0129 1"),
        ("train__batch__size", "1", "M3I0129 1"),
        ("objective__o__t", "1", "M3I0129 1"),
        ("encoder__image__nothing", "1", "M3I0124 1"),
    ],
)
def test_a_path_that_leads_nowhere_is_said(path: str, value: str, code: str) -> None:
    codes, _ = _set(**{path: value})
    assert codes and codes[0].startswith(code)


@pytest.mark.parametrize("text", ["/data/train", "s3://bucket/{0..9}.tar", "224", "a b", "x.m3i", "C:\\data", "model2"])
def test_a_string_is_the_text_itself(text: str) -> None:
    codes, _ = _set(model=text)
    assert [code.split(" ", 1)[0] for code in codes] == ["M3I0206"], "no such model, and nothing else"
    assert codes[0].endswith(text)


def test_a_string_for_a_number_stays_a_mistake() -> None:
    assert _set(train__batch="/data")[0][0].startswith("M3I00")


STAGED = RECIPE[: RECIPE.index("objective")] + "".join(
    f"stage {name} {{\n{RECIPE[RECIPE.index('objective') :]}}}\n".replace("objective o", f"objective {name}_o")
    for name in ("first", "second")
)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("stage.second.train.batch", "128", "batch 128"),
        ("stage.second.train.optimizer.lr", "1e-2", "sgd(lr: 0.01"),
        ("stage.second.objective.second_o.t.predictor.hidden", "64", "hidden: 64"),
    ],
)
def test_a_path_into_a_stage_changes_that_stage_alone(path: str, value: str, line: str) -> None:
    checked = check_file(SourceFile("r.m3i", STAGED), {path: given(path, value)})
    assert [d.code for d in checked.diagnostics if d.severity.value == "error"] == []
    assert checked.pipeline is not None
    first, second = (" ".join(resolve(program).split()) for program in checked.pipeline.stages)
    assert line not in first and line in second


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("train.batch", "write `stage.NAME.` before"),
        ("objective.o.weighting", "write `stage.NAME.` before"),
        ("stage.secnd.train.batch", "did you mean `second`?"),
        ("stage.second", "write `train.SETTING`"),
        ("stage.second.trian.batch", "did you mean `train`?"),
        ("stage.second.objective.second_o.target.t.predictor", "`t`"),
    ],
)
def test_a_path_that_leads_to_no_stage_is_said(path: str, said: str) -> None:
    checked = check_file(SourceFile("r.m3i", STAGED), {path: given(path, "64")})
    (found,) = (d for d in checked.diagnostics if d.severity.value == "error")
    assert found.code == "M3I0129" and said in found.helps[0]
