"""What is right or wrong on a GPU, each under a minute; skipped where there is none (`pytest -m gpu` runs them).

`tests/benchmarks/test_gpu.py` tries the same checks on a CPU, as the dry run of `python -m benchmarks.gpu --session`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.gpu.checks import CHECKS, Found

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_on_a_gpu(check: Callable[[str], Found]) -> None:
    assert check("cuda")
