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


OF_WORDS = {
    "evaluators": "evaluation",
    "masks": "data",
    "mixes": "data",
    "optimizers": "runtime/test_optimizers.py",
    "schedules": "runtime/test_schedule.py",
    "sources": "data",
    "transforms": "data",
}
"""Where the words of a kind are tested; those of the other kinds are in `modules`."""


def tests_of(files: list[Path]) -> list[Path]:
    """What is right and wrong in a recipe, and the tests of the parts that the files are of."""
    found = ["ui", "semantics"]
    for path in files:
        part, *rest = path.relative_to(ROOT / "m3i_dsl").parts
        found.append(OF_WORDS.get(rest[0], "modules") if part == "vocabulary" else part)
    return [ROOT / "tests" / name for name in dict.fromkeys(found) if (ROOT / "tests" / name).exists()]


if __name__ == "__main__":
    sys.exit(main())
