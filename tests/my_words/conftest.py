"""The package of this folder, installed in this process and in those that it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from m3i_dsl.vocabulary import packages, registry
from tests.packages.installed import install_project

PROJECT = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The folder that it is installed in, as long as a file of tests runs."""
    folder = install_project(tmp_path_factory.mktemp("site"), PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        _forgotten()
        yield folder
    _forgotten()


def _forgotten() -> None:
    """What is installed is looked up anew."""
    packages.entries.cache_clear()
    registry.words.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_words"]:
        del sys.modules[name]
