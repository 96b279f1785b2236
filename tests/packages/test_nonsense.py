"""What a word of another package returns that its kind does not allow is its fault, and said where it returns."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from m3i_dsl.cli.main import main
from m3i_dsl.vocabulary import packages, registry
from m3i_dsl.vocabulary.draws import Draws
from m3i_dsl.vocabulary.form import BASES
from m3i_dsl.vocabulary.kept import WrongResult, keep
from m3i_dsl.vocabulary.kinds import (
    ACCURACY,
    Dataset,
    FeatureShape,
    Grid,
    PlainModality,
    Result,
    SourceDescription,
    ViewState,
)
from m3i_dsl.vocabulary.masks import RandomMask
from m3i_dsl.vocabulary.modalities import Category, Image
from m3i_dsl.vocabulary.word import Kind
from tests.packages.installed import install, recipe
from tests.packages.test_faulty_packages import HEAD, MASK

GRID, DRAWS = Grid(2, 2), Draws(0, 0, np.arange(3), "view/mask")
IMAGES, STATE = torch.zeros(3, 3, 4, 4), ViewState.whole(np.full((3, 2), 4))
HIDDEN = np.tile([True, False, False, False], (3, 1))
SHAPE = FeatureShape(8, GRID, 0, 1, 2, (4, 4))


def watched(kind: Kind, method: str, found: object, **others: Callable[..., object]) -> Callable[..., Any]:
    """The method of a word of a package that returns `found`."""
    base = PlainModality if kind == "modality" else BASES[kind][0]
    methods: dict[str, Any] = {method: lambda self, *given: found, **others}
    for name, function in methods.items():
        function.__name__ = name
    class_ = type("Theirs", (base,), {"name": "theirs", "__module__": __name__, **methods})
    keep(class_)
    return getattr(object.__new__(class_), method)


def hides(self: object, grid: Grid, stride: int) -> int:
    return 1


def sized(self: object, by: object) -> tuple[int, ...]:
    return (2,)


MODULE = nn.Linear(1, 1)
OPTIMIZER = torch.optim.SGD(MODULE.parameters(), lr=0.1)
RIGHT = Result(ACCURACY, 0.5, 3)
ODD: Any = [None, "accuracy", {"a": 1}]
NO_RESULTS = [Result(ACCURACY, ODD[0], 3), Result(ODD[1], 0.5, 3), Result(ACCURACY, 0.5, 3, parts=ODD[2])]
NO_SHAPE = FeatureShape(ODD[0], GRID, 0, 1, 2, (4, 4))

CASES: dict[str, tuple[Kind, str, tuple[Any, ...], dict[str, Callable[..., object]], list[object], list[object]]] = {
    "a count": ("mask", "hidden", (GRID, 8), {}, [3, np.int64(3)], [None, 3.0, True, "3"]),
    "a mask": (
        "mask",
        "sample",
        (DRAWS, GRID, 8),
        {"hidden": hides},
        [HIDDEN],
        [None, HIDDEN.astype(int), HIDDEN[:2], HIDDEN[:, :3], ~HIDDEN, HIDDEN.tolist()],
    ),
    "a mask of a mix": ("mix", "mask", (), {}, [RandomMask(0.5)], [None, HIDDEN]),
    "images": (
        "transform",
        "apply",
        (IMAGES, STATE, DRAWS),
        {},
        [IMAGES + 1],
        [None, IMAGES.numpy(), IMAGES[:1], IMAGES[..., 1:], IMAGES[:, :1]],
    ),
    "a size": ("transform", "output_size", ((4, 4),), {}, [(4, 4), None], [4, (4,), [4, 4], (4.0, 4)]),
    "a shape": ("encoder", "shape", (), {}, [SHAPE], [None, (8, 4), NO_SHAPE]),
    "yes or no": ("encoder", "drops_tokens", (), {}, [True, False], [None, 1, "no"]),
    "a module": ("predictor", "build", (None,), {}, [MODULE], [None, nn.Linear, MODULE.weight]),
    "one of a few": ("predictor", "pooling", (), {}, ["mean", "class"], [None, "all"]),
    "one or none": ("evaluator", "pooling", (), {}, ["mean", None], ["all", 1]),
    "a result": ("evaluator", "measure", (None, None), {}, [RIGHT], [None, 0.5, ACCURACY, *NO_RESULTS]),
    "baselines": (
        "evaluator",
        "baselines",
        (None, None),
        {},
        [{"chance": RIGHT}, {}],
        [None, {"chance": 0.1}, [RIGHT]],
    ),
    "an optimizer": ("optimizer", "build", (MODULE, 8), {}, [OPTIMIZER], [None, MODULE]),
    "a factor": (
        "schedule",
        "factor",
        (0.5,),
        {},
        [1.0, 0, np.float64(2)],
        [None, "1", -1.0, float("nan"), float("inf")],
    ),
    "fields": ("source", "fields", (), {}, [{"image": Image()}], [None, {"image": Image}, {3: Image()}, [Image()]]),
    "samples": ("source", "open", (Path(),), {}, [Dataset()], [None, []]),
    "numbers": (
        "modality",
        "collate",
        ([1, 2, 3], None, Path()),
        {"dimensions": sized},
        [np.zeros((3, 2))],
        [None, np.zeros((3, 3)), np.zeros(3), [[0, 0]] * 3],
    ),
    "a value of the graph": ("representation", "target", (None,), {}, [Category()], [None, "x"]),
}


@pytest.mark.parametrize("case", CASES)
def test_only_what_the_kind_allows_is_returned(case: str) -> None:
    kind, method, given, others, right, wrong = CASES[case]
    for found in right:
        assert watched(kind, method, found, **others)(*given) is found
    for found in wrong:
        with pytest.raises(WrongResult, match=f"`{method}` returned .*, not "):
            watched(kind, method, found, **others)(*given)


@pytest.mark.parametrize(
    ("method", "given", "right", "wrong"),
    [
        ("read", (0, frozenset[str]()), {"image": 3}, None),
        ("__len__", (), 3, None),
        ("description", (), SourceDescription(3, (), "three"), SourceDescription(3, ODD[0], "three")),
        ("evaluation", (), Dataset(), 4),
    ],
)
def test_samples_are_watched_like_their_source(
    method: str, given: tuple[Any, ...], right: object, wrong: object
) -> None:
    for found, fits in ((right, True), (wrong, False)):
        class_ = type("Samples", (Dataset,), {method: lambda self, *_, found=found: found, "__module__": __name__})
        watched("source", "open", class_())(Path())
        asked = getattr(class_, method)
        if fits:
            assert asked(class_(), *given) is found
            continue
        with pytest.raises(WrongResult):
            asked(class_(), *given)


def test_words_of_m3ic_are_not_watched() -> None:
    before = vars(RandomMask)["sample"]
    keep(RandomMask)
    assert vars(RandomMask)["sample"] is before


# --- as the commands say it -------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with chdir(tmp_path):
        yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("masks_of_others", "slim_heads"))]:
        del sys.modules[name]
    _forgotten()


def _forgotten() -> None:
    packages.entries.cache_clear()
    registry.words.cache_clear()


def said(capsys: pytest.CaptureFixture[str], text: str) -> str:
    """What `m3ic compile` says of a recipe that it refuses."""
    _forgotten()
    Path("theirs.m3i").write_text(text, encoding="utf-8")
    assert main(["compile", "theirs.m3i"]) == 1
    shown = capsys.readouterr().err
    assert "M3I0901" not in shown and os.sep + "theirs.m3i" not in shown
    return shown


def test_a_mask_that_counts_nothing(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = MASK.replace("return grid.tokens // 2", "return None")
    install(
        site, "masks-of-others", "1.2", {"masks_of_others.py": text}, {"mask.checkered": "masks_of_others:Checkered"}
    )
    shown = said(capsys, recipe("checkered"))
    assert "error[M3I0902]: mask `checkered` of masks-of-others 1.2: `hidden` returned None, not `int`" in shown
    assert "theirs.m3i:11" in shown and "returned in masks_of_others.py:" in shown


@pytest.mark.parametrize("forward", ["None", "(x, x)", "x.double()"])
def test_a_module_that_yields_no_such_tensor(forward: str, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = f"type('Odd', (nn.Linear,), {{'forward': lambda self, x: {forward}}})(1, 1)"
    text = HEAD.replace("nn.Linear(shape.input_width, shape.output_width // 2)", made)
    install(site, "slim-heads", "3.0", {"slim_heads.py": text}, {"predictor.slim": "slim_heads:Slim"})
    shown = said(capsys, recipe("random(75%, tokens: mask)", "slim"))
    assert "error[M3I0404]: the module of predictor `slim` of slim-heads 3.0 yields something else" in shown
    assert "theirs.m3i:17" in shown
