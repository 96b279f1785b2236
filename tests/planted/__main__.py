"""`python -m tests.planted FILE... [--tests PATH...]`: plants faults in reports; says which no test notices.

Exit codes: 0 when every fault is noticed, 1 when some are not, 2 when the tests fail without a fault.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from tests.planted.session import WIDTH, Planting, Plants

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="files of the package")
    parser.add_argument("--tests", nargs="+", type=Path, help="folders or files of tests; left out, those of the area")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the faults that nobody notices")
    arguments = parser.parse_args()
    files = [path.resolve() for path in arguments.files]
    if missing := [path for path in files if not path.is_file()]:
        parser.error(f"there is no file {missing[0]}")
    os.environ["OMP_NUM_THREADS"] = "1"  # threads do not survive a fork
    plants = Plants(files)
    sys.meta_path.insert(0, plants)
    planting = Planting(plants, lambda text: None if arguments.quiet else print(text, flush=True))
    tests = arguments.tests or tests_of(files)
    outcome = pytest.main(
        ["-s", "-q", "-m", "not slow", "-p", "no:cacheprovider", *map(str, tests)], plugins=[planting]
    )
    if outcome not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return 2
    for name in planting.reach.failed:
        print(f"fails without a fault: {name}")
    missed = [site for number, site in enumerate(plants.sites) if number not in planting.noticed]
    print(f"{len(plants.sites)} faults, {len(missed)} NOT NOTICED")
    for site in missed:
        print(f"{site.path}:{site.line}: {site.what[:WIDTH]}")
    return 2 if planting.reach.failed else int(bool(missed))


def tests_of(files: list[Path]) -> list[Path]:
    """The tests of the areas of files: those of texts, and the folder that is named after the part."""
    found = [ROOT / "tests" / "ui", ROOT / "tests" / "semantics"]
    for path in files:
        part = ROOT / "tests" / path.relative_to(ROOT / "m3i_dsl").parts[0]
        if part.is_dir() and part not in found:
            found.append(part)
    return found


if __name__ == "__main__":
    sys.exit(main())
