"""One recipe of the package's words through every command, from `check` to `export`."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from m3i_dsl import driver
from m3i_dsl.cli.main import main
from m3i_dsl.diagnostics import Diagnostic, Severity
from m3i_dsl.driver import Checked
from m3i_dsl.source import SourceFile
from m3i_dsl.vocabulary.registry import KINDS, words
from tests.my_words.conftest import PROJECT
from tests.packages.installed import m3ic

RECIPE = (PROJECT / "rings.m3i").read_text(encoding="utf-8")
TRAIN = ("train", "--device", "cpu", "--log-to", "none", "--log-every", "1")
BATCH, WIDTH = 24, 32


@dataclass(frozen=True, slots=True)
class Story:
    """A folder with the recipe, compiled, and trained as `runs/whole`."""

    folder: Path

    def record(self, run: str, event: str = "step") -> list[dict[str, Any]]:
        lines = (self.folder / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [found for found in map(json.loads, lines) if found["event"] == event]

    def weights(self, run: str) -> dict[str, bytes]:
        """Every tensor of the newest checkpoint, moments included."""
        checkpoints = self.folder / run / "checkpoints"
        newest = checkpoints / (checkpoints / "latest").read_text(encoding="utf-8").strip()
        files = sorted(newest.glob("**/*.safetensors"))
        return {f"{file.name}/{name}": value.tobytes() for file in files for name, value in load_file(file).items()}


@pytest.fixture(scope="module")
def trained(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    (folder / "rings.m3i").write_text(RECIPE, encoding="utf-8")
    with chdir(folder):
        assert main(["compile", "rings.m3i"]) == 0
        assert main([*TRAIN, "--run", "runs/whole"]) == 0
    return Story(folder)


@pytest.fixture(autouse=True)
def _there(trained: Story) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    with chdir(trained.folder):
        yield


def checked(text: str) -> Checked:
    return driver.check_file(SourceFile("rings.m3i", text))


def errors_of(found: Checked) -> list[Diagnostic]:
    return [each for each in found.diagnostics if each.severity is Severity.ERROR]


def plain(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What a command writes that succeeds."""
    capsys.readouterr()
    status = main([*command])
    written = capsys.readouterr()
    assert status == 0, written.out + written.err
    assert "M3I09" not in written.err
    return written.out


def test_it_is_checked_and_formatted(capsys: pytest.CaptureFixture[str]) -> None:
    assert {found.code for found in checked(RECIPE).diagnostics} == {"M3I0801"}, (
        "rows of no table, which is said and no fault"
    )
    plain(capsys, "fmt", "--check", "rings.m3i")


def test_it_is_resolved_with_the_defaults_of_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    resolved = plain(capsys, "resolve", "rings.m3i")
    assert "uniformity(weight: 0.1, t: 2)" in resolved and "gamma(power: 0.5..2, p: 80%)" in resolved
    assert not errors_of(checked(resolved))
    Path("resolved.m3i").write_text(resolved, encoding="utf-8")
    assert plain(capsys, "resolve", "resolved.m3i") == resolved


@pytest.mark.parametrize("kind", KINDS)
def test_vocab_shows_each_word_and_where_it_comes_from(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mine = [name for name in words(kind) if words(kind).package(name) is not None]
    assert mine
    for name in mine:
        assert f"  {name} (my-words 0.3)" in plain(capsys, "vocab", kind).splitlines()
        shown = plain(capsys, "vocab", kind, *name.split())
        assert "my-words 0.3" in shown
        assert all(parameter.name in shown for parameter in words(kind)[name].parameters())


FAULTS = {
    "transform": ("gamma(p: 80%)", "gamma(power: 2..3)", "M3I0206", "2..3"),
    "mask": ("spiral(50%", "spiral(1%", "M3I0213", "1%"),
    "source": ("rings(samples: 90)", "rings(width: 9px)", "M3I0206", "9px"),
    "encoder": ("width: 32, depth: 2", "patch: 5px", "M3I0206", "5px"),
    "optimizer": ("lion(lr: 1e-3)", "lion(lr: 1e-3, betas: (0.9,))", "M3I0206", "(0.9,)"),
    "bounds": ("late(decay: 50%)", "late(decay: 0%)", "M3I0203", "0%"),
    "modality": ("data           centre", "data           number", "M3I0210", "number"),
    "mix": ("ratio: 50%", "ratio: 1%", "M3I0213", "1%"),
    "distribution": (
        "view1 by spiral(50%, tokens: mask)",
        "view1 by blocks(20%..50%, minimum: 1, tokens: mask)",
        "M3I0217",
        "hidden",
    ),
    "name of a mix": ("swirl(", "swirll(", "M3I0122", "swirll"),
    "name": ("spiral(50%", "spirall(50%", "M3I0122", "spirall"),
}


@pytest.mark.parametrize("of", FAULTS)
def test_a_fault_of_an_argument_is_shown_at_its_place(of: str, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, code, place = FAULTS[of]
    assert old in RECIPE
    errors = errors_of(checked(RECIPE.replace(old, new)))
    assert {found.code for found in errors} == {code}
    spans = [found.primary.span for found in errors]
    assert {span.file.text[span.start : span.end] for span in spans} == {place}
    assert code in plain(capsys, "explain", code)


def test_the_artifact_and_the_run_know_the_version(trained: Story) -> None:
    run = json.loads((trained.folder / "runs/whole/run.json").read_text(encoding="utf-8"))
    assert run["versions"]["my-words"] == "0.3"


def test_every_target_is_trained(trained: Story) -> None:
    first, *_, last = trained.record("runs/whole")
    assert set(first["losses"]) == {"edges.edges", "edges.centre", "edges.views", "prototypes.instance", "mixed.pixels"}
    assert last["loss"] < first["loss"]
    moved = trained.record("runs/whole")[3]["weights"]
    assert sum(moved[f"edges.{name}"] for name in ("edges", "centre", "views")) == pytest.approx(3)
    assert moved["edges.edges"] != 1, "`dynamic average` weighs"
    assert [step["learning_rate"] for step in trained.record("runs/whole")][-1] == pytest.approx(4e-4), "`late` falls"


def test_a_run_that_was_stopped_ends_with_the_same_bits(trained: Story) -> None:
    assert main([*TRAIN, "--run", "runs/half", "--max-steps", "3"]) == 0
    assert main([*TRAIN, "--run", "runs/half", "--resume"]) == 0
    assert [step["loss"] for step in trained.record("runs/half")] == [
        step["loss"] for step in trained.record("runs/whole")
    ]
    assert trained.weights("runs/half") == trained.weights("runs/whole")
    assert any("before" in name for name in trained.weights("runs/half")), "the losses that `dynamic average` keeps"


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(site: Path, trained: Story) -> None:
    done = m3ic(*TRAIN, "--run", "runs/two", "--nproc-per-node", "2", packages=site, cwd=trained.folder)
    assert done.returncode == 0, done.stderr
    for one, two in zip(trained.record("runs/whole"), trained.record("runs/two"), strict=True):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
        assert two["weights"] == pytest.approx(one["weights"], rel=1e-4)


def test_the_measure_of_its_evaluator_is_recorded_and_reported(
    trained: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    (measured,) = json.loads(plain(capsys, "eval", "runs/whole", "--report", "--json"))["results"][:1]
    assert measured["name"] == "rankme"
    assert measured["measure"] == {"name": "effective_rank", "unit": "dimensions", "better": "higher"}
    assert measured["trained"]["value"] == pytest.approx(
        trained.record("runs/whole", "evaluation")[0]["results"]["rankme.effective_rank"]
    )
    page = (trained.folder / "runs/whole/report.html").read_text(encoding="utf-8")
    assert "effective_rank, higher is better" in page
    assert f"<b>{measured['trained']['value']:.4g}</b> dimensions" in page


def test_an_evaluator_without_categories_needs_none(
    site: Path, trained: Story, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data whose fields are drawings and places alone."""
    from my_words.rings import DrawnRings, Rings  # pyright: ignore[reportMissingImports]

    from m3i_dsl.vocabulary.kinds import SourceDescription

    every = Rings.fields
    monkeypatch.setattr(Rings, "fields", lambda word: {k: v for k, v in every(word).items() if k != "number"})
    monkeypatch.setattr(
        DrawnRings, "description", lambda of: SourceDescription(len(of), (), f"{len(of)} unlabelled rings")
    )
    Path("unlabelled.m3i").write_text(RECIPE.replace("  knn(k: 5) at end\n", ""), encoding="utf-8")
    plain(capsys, "compile", "unlabelled.m3i", "-o", "target/unlabelled")
    plain(capsys, "train", "target/unlabelled", *TRAIN[1:], "--run", "runs/unlabelled", "--max-steps", "1")
    plain(capsys, "eval", "runs/unlabelled", "--report")
    page = Path("runs/unlabelled/report.html").read_text(encoding="utf-8")
    assert "72 training and 18 test images" in page and "categories" not in page


def test_its_penalty_stands_in_the_table_and_is_planned_as_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "stop gradient + uniformity"
    rows = {row["row"]: row for row in json.loads(plain(capsys, "table", "rings.m3i", "--json"))}
    assert rows["rings.views"]["regularization H(p(z_y|t_y))"] == cell
    found = json.loads(plain(capsys, "plan", "rings.m3i", "--world", "2", "--dry-run", "--json"))
    (planned,) = (target for target in found["targets"] if target["name"] == "edges.views")
    assert planned["regularization"] == cell
    assert found["flops"]["loss_forward"] == 2 * BATCH * WIDTH, "each sample with every other; no other loss multiplies"
    traffic = {(line["purpose"], line["operation"]): line for line in found["communication"]["traffic"]}
    for operation in ("all-gather", "reduce-scatter"):
        line = traffic["candidates", operation]
        assert line["received"] == line["observed_received"] == BATCH // 2 * WIDTH * 4, "the other process's rows"


def test_it_is_drawn_and_its_passes_are_equal(capsys: pytest.CaptureFixture[str]) -> None:
    picture = plain(capsys, "graph", "rings.m3i", "--format", "svg")
    assert all(word in picture for word in ("spiral", "swirl", "mixer", "gradient histogram", "uniformity", "balance"))
    assert main(["opt", "rings.m3i", "--verify"]) == 0
    verdicts = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert ["equal", "common-subexpressions"] in verdicts and ["equal", "needed-tokens"] in verdicts


@pytest.mark.slow
def test_its_properties_hold(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = json.loads(plain(capsys, "test", "rings.m3i", "--json"))
    assert "failed" not in json.dumps(outcomes)


def test_the_encoder_of_timm_is_exported_and_the_own_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "runs/whole"]) == 1
    assert "error[M3I0761]: encoder `own` cannot be exported: `mixer` is not a model of timm" in capsys.readouterr().err
    folder = plain(capsys, "export", "runs/whole", "--encoder", "vit").strip()
    assert "model.safetensors" in os.listdir(folder)
