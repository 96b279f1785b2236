"""What `m3ic vocab --new KIND NAME` prints works as it is: its test passes, and a recipe of such words trains."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from contextlib import chdir
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.cli.options import CliError
from m3i_dsl.cli.skeleton import skeleton
from m3i_dsl.vocabulary.registry import KINDS
from tests.architecture.code import ROOT
from tests.packages.installed import environment, found_here, install
from tests.packages.surface import STABLE, imported

RECIPE = """m3i 1
recipe of_skeletons

data ramps = my_source(samples: 64)

view view1 of ramps.image = crop(32px) | my_transform

encoder image = my_encoder(image: 32px)
encoder vit   = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 24, depth: 1, heads: 2)

objective pixels {
  input     masked view1 by my_mask(tokens: mask)
  represent dense feature of image

  target pixels {
    data           view1
    representation my_representation
    predictor      my_predictor
    regularization my_regularization
    distribution   my_distribution
  }

  weighting my_weighting
}

objective mixed {
  input     my_mix(masked view1 of first, masked view1 of second, by: my_mask(tokens: mask))
  represent dense feature of vit

  target pixels {
    data           view1 of first
    representation dense pixels
    predictor      decoder(layers: 1, heads: 2)
    regularization none
    distribution   gaussian
  }
}

train {
  batch     32
  epochs    1
  optimizer my_optimizer(lr: 1e-3)
  schedule  my_schedule
}

evaluate {
  my_evaluator at end
}
"""


def parts(kind: str, name: str) -> tuple[str, str, str]:
    """The file of the word, that of its test and the entry point, as CONTRIBUTING has them apart."""
    text = skeleton(kind, name)  # pyright: ignore[reportArgumentType]
    word, file, test, project, entry = re.split(r"^# --- (.+)\n\n?", text, flags=re.MULTILINE)
    assert (file, project) == (f"tests/test_{name}.py", "pyproject.toml")
    return f"{word.rstrip()}\n", f"{test.rstrip()}\n", entry


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every skeleton in one installed package, with its tests beside it."""
    files = {"my_words/__init__.py": ""}
    words: dict[str, str] = {}
    for kind in KINDS:
        word, test, entry = parts(kind, f"my_{kind}")
        files |= {f"my_words/my_{kind}.py": word, f"tests/test_my_{kind}.py": test}
        (declared,) = tomllib.loads(re.sub("^# ", "", entry, flags=re.MULTILINE))["project"]["entry-points"].values()
        words |= declared
    return install(tmp_path_factory.mktemp("site"), "my-words", "0.1", files, words)


def test_its_own_test_passes(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=package, env=environment(package), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{len(KINDS)} passed" in done.stdout


def test_a_recipe_of_such_words_checks_compiles_and_trains(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "of_skeletons.m3i").write_text(RECIPE, encoding="utf-8")
    with chdir(tmp_path), found_here(package, "my_words"):
        for command in (
            ("check", "of_skeletons.m3i"),
            ("compile", "of_skeletons.m3i"),
            ("train", "--device", "cpu", "--log-to", "none", "--log-every", "1"),
            ("eval", "--device", "cpu", "--report"),
        ):
            code = main([*command])
            out, err = capsys.readouterr()
            assert code == 0, out + err
            assert "error" not in err and "M3I0803" not in out


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_formatted_and_imports_what_a_word_may(kind: str, tmp_path: Path) -> None:
    word, test, _ = parts(kind, f"my_{kind}")
    (tmp_path / "my_word.py").write_text(word, encoding="utf-8")
    (tmp_path / "test_my_word.py").write_text(test, encoding="utf-8")
    assert imported(ast.parse(word)) | imported(ast.parse(test)) <= STABLE
    for command in (["format", "--check"], ["check", "--select", "E,F,I,B,UP"]):
        command = [str(Path(sys.executable).with_name("ruff")), *command, "--isolated", "--line-length", "120", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_names_what_a_word_may_import() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide[guide.index("## Add a word") : guide.index("## Add a diagnostic")]
    assert set(re.findall(r"`(m3i_dsl(?:\.\w+)+)`", section)) == STABLE


@pytest.mark.parametrize(("kind", "name"), [("mask", "My Mask"), ("mask", "9"), ("mask", "blocks")])
def test_what_no_recipe_could_write_and_what_is_taken_is_refused(kind: str, name: str) -> None:
    with pytest.raises(CliError):
        skeleton(kind, name)  # pyright: ignore[reportArgumentType]
