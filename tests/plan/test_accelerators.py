"""Which device a driver's name means."""

import pytest

from m3i_dsl.plan import ACCELERATORS, peak_of


@pytest.mark.parametrize(
    ("device", "bf16", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12, 67e12),
        ("NVIDIA H200", 989e12, 67e12),
        ("NVIDIA A100-SXM4-40GB", 312e12, 19.5e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("NVIDIA B200", 2250e12, 75e12),
        ("NVIDIA H100 PCIe", None, None),
        ("NVIDIA H200 NVL", None, None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None, None),
        ("CPU", None, None),
        ("", None, None),
    ],
)
def test_the_peak_of_a_device_is_that_of_its_datasheet_or_unknown(
    device: str, bf16: float | None, fp32: float | None
) -> None:
    assert (peak_of(device, "bf16"), peak_of(device, "fp32")) == (bf16, fp32)


def test_programs_reach_less_than_the_peak() -> None:
    for accelerator in ACCELERATORS.values():
        if accelerator.peak_bf16 is not None and accelerator.peak_fp32 is not None:
            assert 0.5 < accelerator.value("matmul_bf16") / accelerator.peak_bf16 < 1
            assert 0.5 < accelerator.value("matmul_fp32") / accelerator.peak_fp32 < 1
