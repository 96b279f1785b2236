"""What every test may use: the `--bless` option, which rewrites expected files, and hypothesis settings."""

from __future__ import annotations

import hypothesis
import pytest

hypothesis.settings.register_profile("m3ic", deadline=None, derandomize=True, max_examples=60, print_blob=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3000)
hypothesis.settings.load_profile("m3ic")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="write what was rendered as what is expected; read the diff")


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether expected files are to be rewritten."""
    return bool(request.config.getoption("--bless"))
