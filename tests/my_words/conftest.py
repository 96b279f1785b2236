"""The package of this folder, installed in this process and in those that it starts."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.packages.installed import found_here, install_project

PROJECT = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The folder that it is installed in, as long as a file of tests runs."""
    with found_here(install_project(tmp_path_factory.mktemp("site"), PROJECT), "my_words") as folder:
        yield folder
