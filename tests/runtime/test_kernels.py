"""Which kernels torch may choose: settings, layout, what a resumed run is told; a GPU is not needed for it."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.kernels import Kernels, not_deterministic
from m3i_dsl.runtime.run_folder import RunFolder
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.kinds import EncoderContext
from m3i_dsl.vocabulary.values import Duration
from tests.runtime.tiny import Silent, create, tiny_graph, trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch's settings are of the process."""
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]
    before = matmul.fp32_precision, conv.fp32_precision, torch.backends.cudnn.benchmark
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield
    matmul.fp32_precision, conv.fp32_precision, torch.backends.cudnn.benchmark = before
    torch.use_deterministic_algorithms(False)
    for name in ("PYTORCH_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG"):
        os.environ.pop(name, None)


def settings(kernels: Kernels) -> tuple[str, str, bool, bool]:
    kernels.apply(nn.Linear(2, 2), CPU, sharded=False)
    return (
        torch.backends.cuda.matmul.fp32_precision,
        torch.backends.cudnn.conv.fp32_precision,  # pyright: ignore[reportAttributeAccessIssue]
        torch.backends.cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(),
    )


def test_products_and_convolutions_round_alike() -> None:
    assert settings(Kernels(tf32=True)) == ("tf32", "tf32", True, False)
    assert settings(Kernels()) == ("ieee", "ieee", True, False)
    assert settings(Kernels(deterministic=True)) == ("ieee", "ieee", False, True)
    assert settings(Kernels(cudnn_benchmark=False)) == ("ieee", "ieee", False, False)


def test_what_cuda_reads_when_it_starts_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernels(allocator="torch").prepare()
    assert "PYTORCH_ALLOC_CONF" not in os.environ and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64")
    Kernels(deterministic=True).prepare()
    assert "PYTORCH_ALLOC_CONF" not in os.environ, "what a user has set stays"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF")
    Kernels().prepare()
    assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"


def test_an_operation_without_a_deterministic_kernel_is_said() -> None:
    Kernels(deterministic=True).apply(nn.Linear(2, 2), CPU, sharded=False)
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    fault = not_deterministic(caught.value)
    assert fault is not None and fault.code == "M3I0717" and "put_" in fault.text()
    assert not_deterministic(RuntimeError("another")) is None


def test_channels_last_is_another_layout_of_the_same_values() -> None:
    plain = Timm("resnet10t", 32).build(EncoderContext()).double()
    other = copy.deepcopy(plain)
    Kernels(channels_last="on").apply(other, CPU, sharded=False)
    assert any(p.is_contiguous(memory_format=torch.channels_last) and not p.is_contiguous() for p in other.parameters())
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    for model in (plain, other):
        model(images).square().mean().backward()
    for (name, expected), (same, found) in zip(plain.named_parameters(), other.named_parameters(), strict=True):
        assert name == same
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-9, atol=1e-11)


def test_auto_is_for_convolutions_on_a_gpu_whose_weights_are_whole() -> None:
    resnet, vit = Timm("resnet10t", 32), Timm("vit_tiny_patch16_224", 32, 16, width=12, depth=1, heads=1)
    built = {word: word.build(EncoderContext()) for word in (resnet, vit)}
    auto = Kernels()
    assert auto.layout(built[resnet], CUDA, sharded=False) == "channels last"
    assert auto.layout(built[resnet], CUDA, sharded=True) == "channels first"
    assert auto.layout(built[resnet], CPU, sharded=False) == "channels first"
    assert auto.layout(built[vit], CUDA, sharded=False) == "channels first"
    with pytest.raises(TrainingFault, match="--channels-last") as caught:
        Kernels(channels_last="on").apply(built[resnet], CUDA, sharded=True)
    assert caught.value.code == "M3I0730"


def test_a_run_that_goes_on_with_other_kernels_is_told(tmp_path: Path) -> None:
    every = Duration(2, "steps")
    with create(tmp_path / "run") as run:
        trainer(run, max_steps=2, checkpoint_every=every).run()
    for deterministic, told in ((False, 0), (True, 1)):
        display = Silent()
        with RunFolder.open(tmp_path / "run") as run:
            kernels = Kernels(deterministic=deterministic)
            trainer(run, tiny_graph(), display=display, max_steps=2, kernels=kernels).run(resume=True)
        said = [remark for remark in display.said if "deterministic was off and is on" in remark]
        assert len(said) == told
