"""Compilation of blocks: what is compiled, how often, that nothing changes by it, and what happens when it fails."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend

from m3i_dsl.driver import Compiled
from m3i_dsl.lower.executable import Executable
from m3i_dsl.modules.blocks import Block
from m3i_dsl.modules.encoders.packed import PackableBlock
from m3i_dsl.runtime import loop
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.compiling import Backend, compile_blocks, eager, share_cores, transformer_blocks
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.loop import Trainer
from m3i_dsl.runtime.options import TrainOptions
from m3i_dsl.runtime.reporting.settings import Reporting
from tests.numerics.recipes import ROOT, compile_text, compiled, stream_of
from tests.runtime.tiny import Silent, create, trainer

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
"""torch's own tracing looks at inputs that are not leaves; outside of tests it is told once, if at all."""

CPU = torch.device("cpu")
STEPS = 3


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    """Compiled code is kept by code object, so one test would count the graphs of another."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def broken_backend(graph: Any, inputs: Any) -> Any:
    raise RuntimeError("there is no compiler on this machine")


def executable_of(recipe: str | Compiled) -> Executable:
    of = (compiled(recipe) if isinstance(recipe, str) else recipe).executable
    module, averages = copy.deepcopy((of.module, of.averages))
    return Executable(of.program, of.graph, module, averages, of.values)


def batches(executable: Executable) -> list[dict[str, Tensor]]:
    stream = stream_of(executable.program, executable)
    return [dict(stream.batch_at(step).inputs) for step in range(STEPS)]


def losses(executable: Executable, given: list[dict[str, Tensor]], after_first: str = "default") -> list[float]:
    """Three steps of plain gradient descent; the stance of the compiler after the first one."""
    module = executable.module.train()
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    found: list[float] = []
    for step, batch in enumerate(given):
        with torch.compiler.set_stance("default" if step == 0 else after_first):  # pyright: ignore[reportArgumentType]
            module.zero_grad()
            loss = module(**batch)["loss"]
            loss.backward()
        with torch.no_grad():
            for parameter in trained:
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad
        found.append(loss.item())
    return found


@pytest.mark.parametrize("name", ["mae", "m3i", "clip"])
def test_compiled_steps_are_those_of_eager(name: str) -> None:
    plain, other = executable_of(name), executable_of(name)
    names = list(other.module.state_dict())
    assert compile_blocks(other.module, "on", CPU, "aot_eager").blocks
    given = batches(plain)
    torch.manual_seed(0)
    expected = losses(plain, given)
    torch.manual_seed(0)
    assert losses(other, given, "fail_on_recompile") == pytest.approx(expected, rel=2e-5)
    assert list(other.module.state_dict()) == names


def test_blocks_of_the_same_code_share_graphs() -> None:
    """MAE: two blocks of the encoder; of the decoder the first, which projects each position once, two more, and the
    last, which computes wanted tokens: four graphs.
    """
    text = (ROOT / "mae.m3i").read_text(encoding="utf-8").replace("decoder_layers = 2", "decoder_layers = 4")
    executable = executable_of(compile_text(text))
    counter = CompileCounterWithBackend("aot_eager")
    found = compile_blocks(executable.module, "on", CPU, counter)
    losses(executable, batches(executable))
    assert (len(found.blocks), counter.frame_count) == (6, 4)


def test_blocks_of_all_rates_of_stochastic_depth_share_a_graph() -> None:
    """The first of them has none, the others one for all rates: two graphs at any depth."""
    text = (ROOT / "mae.m3i").read_text(encoding="utf-8").replace("depth: depth,", "depth: 5, drop_path: 50%,")
    executable = executable_of(compile_text(text))
    counter = CompileCounterWithBackend("aot_eager")
    encoder = executable.module.get_submodule("encoders")
    compile_blocks(encoder, "on", CPU, counter)
    losses(executable, batches(executable)[:1])
    assert counter.frame_count == 2


@pytest.fixture
def one_process() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_blocks_among_several_processes_are_compiled_whole() -> None:
    """torch cuts graphs where DistributedDataParallel begins another bucket; a block is smaller than what it gains."""
    sizes: list[list[int]] = []
    for wrapped in (False, True):
        torch.manual_seed(0)
        block = Block(192, 3)
        counter = CompileCounterWithBackend("aot_eager")
        compile_blocks(block, "on", CPU, counter)
        module = nn.parallel.DistributedDataParallel(block, bucket_cap_mb=1) if wrapped else block
        module(torch.randn(2, 3, 192)).sum().backward()
        sizes.append([len(graph.graph.nodes) for graph in counter.graphs])
        torch.compiler.reset()
    assert sizes[0] == sizes[1] and len(sizes[0]) == 1


def test_processes_of_a_machine_share_its_cores_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    for cores, threads, processes, expected in ((64, 32, 8, 8), (64, 32, 1, 32), (2, 32, 8, 1)):
        monkeypatch.setattr(inductor, "compile_threads", threads)
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        share_cores(processes)
        assert inductor.compile_threads == expected


def test_every_kind_of_block_is_found() -> None:
    kinds = {
        name: [type(block) for block in transformer_blocks(executable_of(name).module)] for name in ("mae", "clip")
    }
    assert {kind.__module__ for kind in kinds["mae"]} == {PackableBlock.__module__, Block.__module__}
    text = [block for block in transformer_blocks(executable_of("clip").module) if isinstance(block, Block)]
    assert text
    assert all(
        len(found) == len(set(map(id, found))) for found in [list(transformer_blocks(executable_of("m3i").module))]
    )


def test_auto_is_off_on_a_cpu_and_says_nothing() -> None:
    module = executable_of("mae").module
    for mode in ("auto", "off"):
        compilation = compile_blocks(module, mode, CPU)
        assert (compilation.blocks, compilation.remark) == ((), None)


def test_a_recipe_without_blocks() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(TrainingFault, match="no transformer block") as caught:
        compile_blocks(module, "on", CPU)
    assert caught.value.code == "M3I0715"
    remark = compile_blocks(module, "auto", torch.device("cuda")).remark
    assert remark is not None and "computing without compilation" in remark


def test_copies_and_evaluations_are_eager() -> None:
    block = Block(8, 2).eval()
    counter = CompileCounter()
    compile_blocks(block, "on", CPU, counter)
    x = torch.randn(2, 3, 8)
    with eager():
        expected = block(x)
    torch.testing.assert_close(copy.deepcopy(block)(x), expected)
    assert counter.frame_count == 0
    torch.testing.assert_close(block(x), expected)
    assert counter.frame_count == 1


def run_of(
    path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any, backend: Backend, acts_as: str = "cpu"
) -> tuple[Executable, Silent, CheckpointStore]:
    """Two steps of MAE by the trainer, with another backend; `acts_as` is the device that `auto` is told."""

    def with_backend(module: nn.Module, mode: Any, device: torch.device, *, local_size: int) -> Any:
        return compile_blocks(module, mode, torch.device(acts_as), backend)

    monkeypatch.setattr(loop, "compile_blocks", with_backend)
    executable, display = executable_of("mae"), Silent()
    with create(path) as run:
        options = TrainOptions(max_steps=2, compile=mode, reporting=Reporting(sinks=()))
        stream = stream_of(executable.program, executable)
        Trainer(executable, stream, run, options, display=display).run()
        return executable, display, CheckpointStore(run.checkpoints, 2)


def test_a_compiled_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        eagerly, silent, plain = run_of(tmp_path / "eager", patch, "off", "aot_eager")
    compiled_, display, store = run_of(tmp_path / "compiled", monkeypatch, "on", "aot_eager")
    assert silent.said == [] and any("compiling" in remark for remark in display.said)
    for (name, expected), (same, found) in zip(
        eagerly.module.state_dict().items(), compiled_.module.state_dict().items(), strict=True
    ):
        assert name == same
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    kept, of_plain = store.newest()[0], plain.newest()[0]
    assert kept is not None and of_plain is not None and kept.step == of_plain.step == 2
    assert sorted(file.name for file in kept.path.iterdir()) == sorted(file.name for file in of_plain.path.iterdir())


def test_auto_goes_on_without_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step in which compiling failed is made again, with the same random numbers and buffers."""
    with monkeypatch.context() as patch:
        eagerly, _, _ = run_of(tmp_path / "eager", patch, "off", "aot_eager")
    fallen, display, _ = run_of(tmp_path / "auto", monkeypatch, "auto", broken_backend, acts_as="cuda")
    assert any(
        "there is no compiler on this machine" in said and "without compilation" in said for said in display.said
    )
    for name, expected in eagerly.module.state_dict().items():
        assert torch.equal(fallen.module.state_dict()[name], expected), name


def test_on_fails_when_it_cannot_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingFault, match="there is no compiler on this machine") as caught:
        run_of(tmp_path / "on", monkeypatch, "on", broken_backend)
    assert caught.value.code == "M3I0715"


def test_the_hand_made_recipe_has_no_block(tmp_path: Path) -> None:
    with create(tmp_path / "run") as run, pytest.raises(TrainingFault, match="no transformer block"):
        trainer(run, compile="on")
