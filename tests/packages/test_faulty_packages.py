"""A faulty package is named, and hinders no recipe without its words."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.vocabulary.form import faults
from m3i_dsl.vocabulary.kinds import Optimizer
from m3i_dsl.vocabulary.values import Number
from m3i_dsl.vocabulary.word import argument
from tests.packages.installed import found_here, install, m3ic, recipe

MASK = '''"""A mask."""

import numpy as np
from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Mask
from m3i_dsl.vocabulary.word import argument


@dataclass(frozen=True, slots=True)
class Checkered(Mask):
    """Hides every other token."""

    name = "checkered"

    tokens: str = argument("drop", doc="what becomes of hidden tokens")

    def hidden(self, grid, stride):
        return grid.tokens // 2

    def sample(self, draws, grid, stride):
        return np.tile(np.arange(grid.tokens) % 2 == 1, (len(draws.uniform(1)), 1))
'''.replace("tokens: str", 'tokens: Literal["drop", "mask"]').replace(
    "from dataclasses", "from typing import Literal\nfrom dataclasses"
)

HEAD = '''"""A predictor."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Predictor


@dataclass(frozen=True, slots=True)
class Slim(Predictor):
    """Half of the channels."""

    name = "slim"
    per_token = True

    def build(self, shape):
        from torch import nn

        return nn.Linear(shape.input_width, shape.output_width // 2)
'''


def mask_package(folder: Path, name: str = "masks-of-others", old: str = "", new: str = "", entry: str = "") -> Path:
    """A package with the mask `checkered`, in which `old` is replaced by `new`."""
    assert old in MASK
    module = name.replace("-", "_")
    words = {entry or "mask.checkered": f"{module}.checkered:Checkered"}
    files = {f"{module}/__init__.py": "", f"{module}/checkered.py": MASK.replace(old, new) if old else MASK}
    return install(folder, name, "1.2", files, words)


def checked(folder: Path, text: str) -> tuple[int, str]:
    """The status of `m3ic check` and what it says, in this process."""
    (folder / "recipe.m3i").write_text(text, encoding="utf-8")
    said = io.StringIO()
    with found_here(folder, *(path.stem for path in folder.iterdir())), redirect_stdout(said), redirect_stderr(said):
        status = main(["check", str(folder / "recipe.m3i")])
    return status, said.getvalue()


def test_the_package_without_fault_checks(tmp_path: Path) -> None:
    assert checked(mask_package(tmp_path), recipe("checkered"))[0] == 0


FAULTS = {
    "cannot be imported": ("import numpy as np", "import no_such_thing", "M3I0132", "cannot be imported"),
    "no doc": ('"""Hides every other token."""', "", "M3I0133", "it has no docstring"),
    "no argument": (
        'argument("drop", doc="what becomes of hidden tokens")',
        '"drop"',
        "M3I0133",
        "its argument `tokens` is not declared by `argument(doc=..., origin=...)`",
    ),
    "no doc of an argument": (
        'doc="what becomes of hidden tokens"',
        'doc=""',
        "M3I0133",
        "its argument `tokens` has no doc or no origin",
    ),
    "no origin": (
        'doc="what becomes of hidden tokens"',
        'doc="what becomes of hidden tokens", origin=""',
        "M3I0133",
        "its argument `tokens` has no doc or no origin",
    ),
    "wrong base": ("Checkered(Mask)", "Checkered", "M3I0133", "it does not derive from `Mask`"),
    "not frozen": ("frozen=True, ", "", "M3I0133", "it is no frozen dataclass"),
    "no dataclass": ("@dataclass(frozen=True, slots=True)\n", "", "M3I0133", "it is no frozen dataclass"),
    "no slots": (", slots=True", "", "M3I0133", "its dataclass has no `slots=True`"),
    "a method is missing": ("def sample", "def draw", "M3I0133", "it has no `sample`"),
    "a method takes too little": (
        "def hidden(self, grid, stride)",
        "def hidden(self, grid)",
        "M3I0133",
        "its `hidden` does not take `(self, grid, stride)`",
    ),
    "a method takes too much": (
        "def hidden(self, grid, stride)",
        "def hidden(self, grid, stride, more)",
        "M3I0133",
        "its `hidden` does not take `(self, grid, stride)`",
    ),
    "another name": ('name = "checkered"', 'name = "chequered"', "M3I0133", "its `name` is not `checkered`"),
    "a type of no recipe": (
        'Literal["drop", "mask"]',
        "bytes",
        "M3I0133",
        "its argument `tokens` has a type that no recipe could write",
    ),
    "raises": ("return grid.tokens // 2", "return {}[grid]", "M3I0902", "raised KeyError: Grid(rows=4, columns=4)"),
}


@pytest.mark.parametrize("fault", [*FAULTS, "unknown kind"])
def test_the_package_is_named_and_other_recipes_check(fault: str, tmp_path: Path) -> None:
    unknown = ("", "", "M3I0133", "enters `checkered` under `masks`, which is no kind of word")
    old, new, code, said = FAULTS.get(fault, unknown)
    folder = mask_package(tmp_path, old=old, new=new, entry="masks.checkered" if fault == "unknown kind" else "")
    status, shown = checked(folder, recipe("checkered"))
    assert status == 1
    assert f"error[{code}]" in shown
    assert said in shown
    assert "masks-of-others 1.2" in shown
    assert "masked view1 by checkered" in shown, "at its place"
    assert checked(folder, recipe())[0] == 0


def test_an_argument_does_not_hide_a_method_of_its_kind() -> None:
    @dataclass(frozen=True, slots=True)
    class Plain(Optimizer):
        """Moves parameters."""

        name = "plain"

        decay_ramp: Number = argument(0.9, doc="of a mean", origin="ours")  # type: ignore[assignment]
        build = None  # type: ignore[assignment]

    assert list(faults(Plain, "optimizer", "plain")) == [
        "its argument `decay_ramp` has the name of a method of its kind"
    ]


def test_vocab_shows_the_package_and_what_cannot_be_used(tmp_path: Path) -> None:
    folder = mask_package(tmp_path)
    install(
        folder, "slim-heads", "3.0", {"slim_heads.py": "import no_such_thing"}, {"predictor.slim": "slim_heads:Slim"}
    )
    done = m3ic("vocab", packages=folder, cwd=tmp_path)
    assert done.returncode == 0
    assert "  checkered (masks-of-others 1.2)" in done.stdout.splitlines()
    assert "warning[M3I0132]: predictor `slim` of slim-heads 3.0 cannot be imported" in done.stderr
    one = m3ic("vocab", "slim", packages=folder, cwd=tmp_path)
    assert one.returncode == 2 and "ModuleNotFoundError" in one.stderr


def test_two_packages_with_one_name(tmp_path: Path) -> None:
    folder = mask_package(mask_package(tmp_path), "masks-of-mine")
    status, shown = checked(folder, recipe("checkered"))
    assert status == 1
    assert "error[M3I0131]: mask `checkered` is a word of masks-of-mine 1.2 and of masks-of-others 1.2" in shown


def test_a_name_that_m3ic_has(tmp_path: Path) -> None:
    folder = mask_package(tmp_path, old='name = "checkered"', new='name = "blocks"', entry="mask.blocks")
    status, shown = checked(folder, recipe("blocks(60%)"))
    assert status == 1
    assert "error[M3I0131]: mask `blocks` is a word of m3ic and of masks-of-others 1.2" in shown
    assert "help: remove `masks-of-others`, or give its word another name" in shown
    assert checked(folder, recipe())[0] == 0


ISOTROPY = '''"""A penalty."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Regularization


@dataclass(frozen=True, slots=True)
class Isotropy(Regularization):
    """Punishes channels that vary together."""

    name = "isotropy"
    penalizes = True

    def build(self):
        raise NotImplementedError
'''


@pytest.mark.parametrize("promised", [False, True])
def test_a_penalty_prevents_collapse_only_if_it_says_so(promised: bool, tmp_path: Path) -> None:
    """With z_y from the trained encoder itself, and no predictor, a constant is the optimum of the rest."""
    text = ISOTROPY
    if promised:
        text = text.replace("penalizes = True", 'penalizes = True\n    certificate = "channels cannot be constant"')
    folder = install(tmp_path, "board", "1", {"board.py": text}, {"regularization.isotropy": "board:Isotropy"})
    written = recipe(predictor="identity").replace("dense pixels", "dense feature of image")
    written = re.sub(r"regularization .*", "regularization isotropy", written)
    written = re.sub(r"distribution .*", "distribution gaussian", written)
    written = re.sub(r"data  .*", "data           view1", written)
    _, shown = checked(folder, written)
    assert ("error[M3I0301]" in shown) is not promised, shown


def test_a_module_of_another_shape_than_its_word_says(tmp_path: Path) -> None:
    folder = install(tmp_path, "slim-heads", "3.0", {"slim_heads.py": HEAD}, {"predictor.slim": "slim_heads:Slim"})
    (tmp_path / "slim.m3i").write_text(recipe("random(75%, tokens: mask)", "slim"), encoding="utf-8")
    done = m3ic("compile", "slim.m3i", packages=folder, cwd=tmp_path)
    assert done.returncode == 1
    assert "error[M3I0404]: the module of predictor `slim` of slim-heads 3.0" in done.stderr
    assert "slim.m3i:17" in done.stderr


def test_an_artifact_knows_the_package_and_its_version(tmp_path: Path) -> None:
    folder = mask_package(tmp_path / "site")
    (tmp_path / "other.m3i").write_text(recipe("checkered"), encoding="utf-8")
    assert m3ic("compile", "other.m3i", packages=folder, cwd=tmp_path).returncode == 0
    train = ("train", "--max-steps", "1")
    gone = m3ic(*train, "--allow-stale", packages=None, cwd=tmp_path)
    assert gone.returncode == 1
    assert "error[M3I0610]" in gone.stderr and "pip install masks-of-others==1.2" in gone.stderr
    module = "masks_of_others"
    files = {f"{module}/checkered.py": MASK}
    install(folder, "masks-of-others", "1.3", files, {"mask.checkered": f"{module}.checkered:Checkered"})
    newer = m3ic(*train, packages=folder, cwd=tmp_path)
    assert newer.returncode == 1
    assert "error[M3I0604]" in newer.stderr
    assert "compiled with masks-of-others 1.2, this is masks-of-others 1.3" in newer.stderr
    stale = m3ic(*train, "--allow-stale", packages=folder, cwd=tmp_path)
    assert stale.returncode == 0, stale.stderr
    unread = m3ic("eval", "runs/foreign-1", packages=None, cwd=tmp_path)
    assert "error[M3I0610]: artifact `runs/foreign-1/artifact` has words of" in unread.stderr
    saved = json.loads((tmp_path / "runs" / "foreign-1" / "run.json").read_text(encoding="utf-8"))
    assert saved["versions"]["masks-of-others"] == "1.2", "the artifact's, which was trained"


def test_a_word_that_raises_in_training(tmp_path: Path) -> None:
    folder = mask_package(tmp_path / "site", old="return np.tile", new="return [][1] + np.tile")
    (tmp_path / "other.m3i").write_text(recipe("checkered"), encoding="utf-8")
    assert m3ic("compile", "other.m3i", packages=folder, cwd=tmp_path).returncode == 0
    done = m3ic("train", "--max-steps", "1", packages=folder, cwd=tmp_path)
    assert "error[M3I0902]: mask `checkered` of masks-of-others 1.2 raised IndexError" in done.stderr
    assert "checkered.py:2" in done.stderr and "M3I0901" not in done.stderr
