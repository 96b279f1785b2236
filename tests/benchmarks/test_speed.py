"""The speed benchmarks: equal sides before any timing, the page, missing libraries. Nothing here looks at a time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.speed import timing
from benchmarks.speed.__main__ import main
from benchmarks.speed.agreement import Disagreement, copy_weights, paired, same_loss, same_parameters
from benchmarks.speed.cases import CASES
from benchmarks.speed.cases.losses import textbook_info_nce, textbook_unigrad
from benchmarks.speed.compiled import Recipe, compile_recipe, recipe_text
from benchmarks.speed.handwritten import HANDWRITTEN
from benchmarks.speed.handwritten.model import Handwritten
from benchmarks.speed.handwritten.targets import Targets
from benchmarks.speed.memory import peak_bytes
from benchmarks.speed.outcome import Outcome, Target
from benchmarks.speed.page import Setting, page
from benchmarks.speed.peers import PEERS, environment, missing, peers_of
from benchmarks.speed.size import SIZES
from benchmarks.speed.targets import NAMES, targets_text
from benchmarks.speed.timing import Timed
from m3i_dsl.testing.batches import named_batch

TINY = SIZES["tiny"]


@pytest.mark.parametrize("name", HANDWRITTEN)
def test_a_handwritten_step_equals_the_compiled_one(name: str) -> None:
    recipe = compile_recipe(recipe_text(name), TINY)
    _assert_equal(recipe, lambda hidden: HANDWRITTEN[name](TINY, hidden))


@pytest.mark.parametrize("count", range(1, len(NAMES) + 1))
def test_sharing_by_hand_equals_the_compiled_targets(count: int) -> None:
    recipe = compile_recipe(targets_text(count), TINY)
    _assert_equal(recipe, lambda hidden: Targets(TINY, hidden, count=count))


def _assert_equal(recipe: Recipe, build: Callable[[int], Handwritten]) -> None:
    """The loss and every gradient in float64."""
    batch = {name: _double(value) for name, value in recipe.batch.items()}
    named = named_batch(recipe.executable, batch)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # tables of positions, too
    try:
        model = build(int(named["hidden"][0].sum()) if "hidden" in named else 0)
    finally:
        torch.set_default_dtype(default)
    module = recipe.executable.module.double().train()
    _move_off(module)
    copy_weights(model, module)
    loss: Tensor = module(**batch)["loss"]
    by_hand: Tensor = model.train()(named)
    assert by_hand.item() == pytest.approx(loss.item(), rel=1e-11)
    loss.backward()
    by_hand.backward()
    pairs = [(own.grad, other.grad) for own, other in paired(model, module) if other.requires_grad]
    largest = max(float(other.abs().max()) for _, other in pairs if other is not None)
    assert largest > 0
    for own, other in pairs:
        assert own is not None
        assert other is not None
        assert float((own - other).abs().max()) <= 1e-9 * largest


def _double(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


@torch.no_grad()
def _move_off(module: nn.Module) -> None:
    """No parameter at its initial zero, no average equal to its source."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))


def test_sides_that_differ_are_not_timed() -> None:
    with pytest.raises(Disagreement, match="11 trained parameters, not 10"):
        same_parameters("a side", 11, 10)
    same_parameters("a side", 1005, 1000, 0.01)
    with pytest.raises(Disagreement, match="first loss"):
        same_loss("a side", torch.tensor(1.01), torch.tensor(1.0))
    with pytest.raises(Disagreement, match="first loss"):
        same_loss("a side", torch.tensor(float("nan")), torch.tensor(1.0))
    module = compile_recipe(recipe_text("supervised"), TINY).executable.module
    module.register_parameter("extra", nn.Parameter(torch.zeros(())))
    with pytest.raises(Disagreement, match=r"no counterpart for \['extra'\] of the compiled graph"):
        paired(HANDWRITTEN["supervised"](TINY, 0), module)


def test_the_naive_graph_has_the_same_loss() -> None:
    recipe = compile_recipe(targets_text(2), TINY)
    losses = [float(e.module(**recipe.batch)["loss"].detach()) for e in (recipe.executable, recipe.naive())]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_sides_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SHORTEST", 0.0)  # one call is one measurement
    calls: list[str] = []
    times = timing.interleaved({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=3, warmup=1)
    assert {name: len(timed.seconds) for name, timed in times.items()} == {"a": 3, "b": 3, "c": 3}
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab", "warm-up, then rounds that each start with another side"


def test_timed_numbers() -> None:
    timed = Timed((3.0, 1.0, 2.0))
    assert (timed.minimum, timed.median) == (1.0, 2.0)
    outcome = Outcome("case", "ours", {"ours": timed, "theirs": Timed((4.0, 5.0))})
    assert outcome.faster("theirs") == 4.0


def test_peak_memory_counts_each_storage_once_until_it_is_freed() -> None:
    x = torch.zeros(1000)

    def computation() -> Tensor:
        y = x + 1  # 4000 bytes
        z = y.view(10, 100) * 2  # 8000: a view is no memory of its own
        del y
        return z.exp()  # 8000 again

    assert peak_bytes(computation) == 8000
    assert peak_bytes(lambda: x.add_(1)) == 0, "what was there before does not count"


def test_the_textbook_forms() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    # C = X^T X / 2 = [[5, 7], [7, 10]]; x C x^T = 73 and 373
    assert float(textbook_unigrad(x, x)) == pytest.approx((73 + 373) / 2 / 2)
    same = torch.ones(4, 2)
    assert float(textbook_info_nce(same, same)) == pytest.approx(torch.log(torch.tensor(4.0)).item())


def _setting() -> Setting:
    return Setting("2000-01-01", "a machine", "torch 1", "python -m benchmarks.speed", "tiny", 3, 2)


def test_the_page_names_what_was_met_missed_and_not_measured() -> None:
    times = {"ours": Timed((0.001, 0.002)), "theirs": Timed((0.002, 0.003))}
    targets = (
        Target("fast", 1.5, "at least", 2.0),
        Target("small", 0.5, "at most", 0.75, "theirs"),
        Target("other", 1.0, "at least", None, "not installed"),
    )
    outcome = Outcome("case", "ours", times, {"ours": {"memory": "1 MiB"}}, targets, ("A note.",))
    text = page([outcome], {"broken": "RuntimeError: no"}, {"lightly": "ImportError: none"}, _setting())
    for line in (
        "| fast | at least 1.5 | 2.00 | yes |",
        "| small | at most 0.5 | 0.75 (theirs) | no |",
        "| other | at least 1 | - (not installed) | not measured |",
        "| side | least, ms | median, ms | least over ours | memory |",
        "| ours | 1.00 | 1.50 | 1.000 | 1 MiB |",
        "| theirs | 2.00 | 2.50 | 2.000 |  |",
        "A note.",
        "- broken: RuntimeError: no",
        "- lightly: ImportError: none",
    ):
        assert line in text.splitlines()
    assert "python -m benchmarks.gpu" in text


def _without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = importlib.import_module

    def absent(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("benchmarks.speed.peers."):
            raise ModuleNotFoundError(f"No module named '{name.rsplit('.', 1)[1]}'")
        return real(name, *rest, **named)

    monkeypatch.setattr(importlib, "import_module", absent)


def test_missing_peers_are_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_peers(monkeypatch)
    assert set(missing()) == set(PEERS.values())
    assert missing()["lightly"] == "ModuleNotFoundError: No module named 'lightly'"
    assert [list(peers_of(recipe)) for recipe in HANDWRITTEN] == [[]] * len(HANDWRITTEN)


def test_the_command_writes_the_page_without_an_environment_for_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_peers(monkeypatch)

    def no_index() -> tuple[Path, dict[str, str]]:
        raise environment.NoEnvironment("no package index")

    monkeypatch.setattr(environment, "prepare", no_index)
    output = tmp_path / "RESULTS.md"
    threads = torch.get_num_threads()
    arguments = ["--peers", "--size", "tiny", "--repeats", "2", "--threads", str(threads), "--only", "adamw,supervised"]
    assert main([*arguments, "--output", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    assert "- environment of the peers: no package index" in text
    assert "- lightly: ModuleNotFoundError" in text
    assert "### supervised" in text
    assert str(Path.home()) not in text


def test_an_unknown_case_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "nothing"]) == 2
    assert "there is no case 'nothing'" in capsys.readouterr().err
    assert set(HANDWRITTEN) < set(CASES)
