"""`m3ic plan`: what it prints, its JSON, its differences, and what it says to wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from m3i_dsl.cli.main import main
from m3i_dsl.plan import Plan
from tests.plan.programs import RECIPES

M3I = str(RECIPES / "m3i.m3i")
TINY = ["--set", "width=24", "--set", "depth=2"]


def test_the_page_says_what_is_counted_and_what_is_modelled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", M3I, "--world", "16", *TINY]) == 0
    page = capsys.readouterr().out
    assert "m3i  16 x H200 SXM in 2 nodes, batch 128 = 16 x 8, fp32" in page
    assert "counted, attention included" in page
    assert "modelled for H200 SXM" in page
    assert "1 of 4" in page
    assert page.isascii()
    assert max(map(len, page.splitlines())) <= 120
    assert all(line == line.rstrip() for line in page.splitlines())


def test_json_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", M3I, "--json", "--constant", "efficiency=0.5", *TINY]) == 0
    text = capsys.readouterr().out
    plan = Plan.model_validate_json(text)
    assert plan.text() == text
    assert plan.schema_version == 2
    assert {c.name: (c.value, c.source) for c in plan.constants}["efficiency"] == (0.5, "given")
    assert plan.training.steps is not None  # the digits were opened


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpu", "h2000"], "b200, h200, h100, a100, cpu"),
        (["--world", "0"], "number of devices"),
        (["--world", "7"], "a batch of 128 cannot be divided over 7 devices"),
        (["--constant", "eficiency=1"], "did you mean `efficiency`?"),
        (["--constant", "efficiency=fast"], "is not NAME=NUMBER"),
        (["--categories", "0"], "from 1"),
        (["--shard", "fsdp"], "sharded over several devices"),
        (["--world", "8", "--shard", "hsdp"], "several nodes of 8 devices"),
        (["--dry-run"], "nothing to observe"),
        (["--world", "8", "--dry-run", "--against", "target/m3i"], "give one of them"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", M3I, *arguments, *TINY]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_recipe_with_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.m3i"
    path.write_text("m3i 1\nrecipe bad\n", encoding="utf-8")
    assert main(["plan", str(path)]) == 1
    assert "error[" in capsys.readouterr().err


ABSENT = ["--set", 'source=parquet("absent.parquet", category: "label", test: "absent.parquet")']


def test_data_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    supervised = str(RECIPES / "supervised.m3i")
    assert main(["plan", supervised, *ABSENT, *TINY]) == 2
    assert "give `--categories N`" in capsys.readouterr().err
    assert main(["plan", supervised, *ABSENT, *TINY, "--categories", "1000", "--json"]) == 0
    plan = Plan.model_validate_json(capsys.readouterr().out)
    assert plan.candidates[0].columns == 1000
    assert plan.training.steps is None
    assert plan.data.images_a_sample == 1
    rate = plan.time.samples_per_second
    assert plan.data.megabytes_per_second == pytest.approx(rate * 0.1)


def test_codes_are_as_many_as_the_recipe_says_whatever_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(RECIPES / "beit.m3i"), *ABSENT, *TINY, "--json"]) == 0
    assert Plan.model_validate_json(capsys.readouterr().out).training.steps is None


def test_data_that_is_not_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(RECIPES / "mae.m3i"), *ABSENT, *TINY]) == 0
    assert "the data was not opened" in capsys.readouterr().out


def test_against_an_artifact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path / "artifact")
    assert main(["compile", M3I, "-o", folder, *TINY]) == 0
    capsys.readouterr()
    assert main(["plan", M3I, "--against", folder, *TINY]) == 0
    assert "the same program" in capsys.readouterr().out
    assert main(["plan", M3I, "--against", folder, "--set", "width=36", "--set", "depth=2", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    by_kind = {(difference["kind"], difference["where"]): difference for difference in found}
    assert ("parameters", "trained") in by_kind
    assert ("FLOPs a sample", "forward") in by_kind
    words = [difference for difference in found if difference["kind"] == "words"]
    assert any("width: 24" in d["before"] and "width: 36" in d["after"] for d in words)
    assert not any(difference["kind"] == "targets" for difference in found)


def test_against_something_that_is_no_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", M3I, "--against", str(tmp_path), *TINY]) == 1
    assert "M3I0601" in capsys.readouterr().err


def test_fsdp_divides_weights_and_not_activations(capsys: pytest.CaptureFixture[str]) -> None:
    plans: list[Plan] = []
    for flags in ([], ["--shard", "fsdp"]):
        assert main(["plan", M3I, "--world", "8", "--json", *flags, *TINY]) == 0
        plans.append(Plan.model_validate_json(capsys.readouterr().out))
    whole, sharded = plans
    assert sharded.memory.weights == -(-4 * whole.parameters.trained // 8)
    assert sharded.memory.optimizer < whole.memory.optimizer / 7.9
    assert sharded.memory.activations == whole.memory.activations
    assert sharded.memory.peak < whole.memory.peak
    # In fp32: weights twice, those of the average for each of its two calls, gradients once. The average's patch
    # embedding and norms are gathered once more, in vain, and positions have 17 rows for 8 shards.
    expected = 4 * (2 * whole.parameters.trained + 2 * whole.parameters.averaged + whole.parameters.trained)
    assert 1 < sharded.communication.received("parameters", "gradients") / (expected * 7 / 8) < 1.03
