"""Trains every recipe for a while and writes the table of docs/results.md.

    python benchmarks/recipes.py --data FOLDER --source 'parquet("DATA/train.parquet", test: "DATA/test.parquet",
        category: "label", prompt: "a photo of a {}.", limit: 3000)' --epochs 12

Each recipe goes through the public commands, compile, train, eval, in a process of its own; kNN and linear probe of
the trained encoder stand beside those of the same encoder untrained and of raw pixels. A finished row is kept in
`--work`, so that a run that is cut off goes on where it was. On a GPU the same command without `limit`, with more
epochs and `--device cuda`, gives the table for the whole data set.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import load_recipe

ROOT = Path(__file__).resolve().parent.parent
NOTES = Path(__file__).with_name("recipes_notes.toml")
MEASURES = ("knn", "linear")


def main() -> int:
    arguments = _arguments()
    recipes = [path for path in _recipes() if not arguments.only or path.stem in arguments.only]
    arguments.work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda path: _row(path, arguments), recipes))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(_page(rows, arguments), encoding="utf-8")
    print(arguments.output)
    return 1 if any("fault" in row for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the data, as a recipe writes it; DATA stands for --data")
    parser.add_argument("--data", type=Path, default=Path(), help="the folder of the data")
    parser.add_argument("--augment", default="crop(32px, scale: 20%..100%) | flip | jitter | grayscale")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="where a recipe has the param")
    parser.add_argument("--limit", type=int, default=2000, help="samples of each split to measure on")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--work", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results.md")
    parser.add_argument("--only", nargs="*", default=[], metavar="RECIPE", help="names of recipe files without .m3i")
    arguments = parser.parse_args()
    arguments.source = arguments.source.replace("DATA", str(arguments.data.resolve()))
    return arguments


def _recipes() -> list[Path]:
    """The rows in the table's order, then the named recipes; a file without `recipe` is a part of others."""
    found = [*sorted((ROOT / "recipes/table").glob("*.m3i")), *sorted((ROOT / "recipes").glob("*.m3i"))]
    return [path for path in found if any(isinstance(d, ast.RecipeName) for d in _declarations(path))]


def _declarations(path: Path) -> tuple[ast.Declaration, ...]:
    recipe = load_recipe(SourceFile(str(path), path.read_text(encoding="utf-8"))).recipe
    return recipe.declarations


def _row(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures one recipe, or reads what an earlier call has measured."""
    name = path.relative_to(ROOT / "recipes").with_suffix("").as_posix()
    folder = arguments.work / name.replace("/", "-")
    kept = folder / "row.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    params = {d.name.text for d in _declarations(path) if isinstance(d, ast.Param)}
    wanted = [f"{name}={getattr(arguments, name)}" for name in ("source", "augment", "epochs")] + arguments.set
    settings = [word for item in wanted if item.partition("=")[0] in params for word in ("--set", item)]
    artifact, run = str(folder / "artifact"), str(folder / f"run-{time.time_ns()}")
    started = time.monotonic()
    place = ["--device", arguments.device]
    try:
        _m3ic(["compile", str(path), "-o", artifact, *settings], folder, arguments.threads)
        _m3ic(["train", artifact, "--run", run, "--threads", str(arguments.threads), *place], folder, arguments.threads)
        seconds = time.monotonic() - started
        text = _m3ic(["eval", run, "--json", "--limit", str(arguments.limit), *place], folder, arguments.threads)
    except subprocess.CalledProcessError as fault:
        print(f"{name}: failed\n{fault.stderr}", file=sys.stderr)
        return {"name": name, "fault": fault.stderr}
    row = {"name": name, "seconds": seconds, "results": json.loads(text)["results"]}
    kept.write_text(json.dumps(row, indent=2), encoding="utf-8")
    print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    return row


def _m3ic(words: list[str], folder: Path, threads: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "m3i_dsl.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        log.write(done.stderr)
    return done.stdout


# --- the page ---------------------------------------------------------------------------------------------------------


def _page(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    notes = tomllib.loads(NOTES.read_text(encoding="utf-8")) if NOTES.is_file() else {}
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "timm"))
    lines = [
        "# Results",
        "",
        "Every recipe, trained for a short while, against the same encoder untrained and raw pixels.",
        "The numbers say that each method trains; they are not the paper's, and such short runs do not rank methods.",
        "",
        f"{datetime.datetime.now(tz=datetime.UTC).date()}, {os.cpu_count()} cores ({platform.machine()}), {versions},",
        f"{arguments.device}, {arguments.threads} thread a training, {arguments.jobs} at a time. The command:",
        "",
        "```sh",
        _command(),
        "```",
        "",
        "Accuracy in % on held-out images, with its standard error; bold where the trained encoder is above the",
        "untrained one by more than the standard error of their difference.",
        "",
        "| recipe | kNN trained | untrained | pixels | linear trained | untrained | pixels | seconds |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(row, notes) for row in rows),
        "",
        *_footnotes(rows, notes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _command() -> str:
    """The command as it was given, folders by their names only."""
    words = ["python", "benchmarks/recipes.py", *sys.argv[1:]]
    kept = [Path(word).name if before == "--data" else word for before, word in zip(["", *words], words, strict=False)]
    for option in ("--work", "--output"):
        while option in kept:
            del kept[kept.index(option) : kept.index(option) + 2]
    return shlex.join(kept)


def _line(row: dict[str, Any], notes: dict[str, Any]) -> str:
    mark = f" [^{row['name'].replace('/', '-')}]" if row["name"] in notes else ""
    if "fault" in row:
        return f"| {row['name']}{mark} | failed | | | | | | |"
    cells = [f"{row['name']}{mark}"]
    for measure in MEASURES:
        found = next(result for result in row["results"] if result["name"] == measure)
        trained, untrained, pixels = found["trained"], *(found["baselines"][b] for b in ("untrained", "raw pixels"))
        text = _percent(trained)
        cells += [f"**{text}**" if _beats(trained, untrained) else text, _percent(untrained), _percent(pixels)]
    cells.append(f"{row['seconds']:.0f}")
    return f"| {' | '.join(cells)} |"


def _percent(result: dict[str, float]) -> str:
    return f"{100 * result['value']:.1f} +- {100 * result['standard_error']:.1f}"


def _beats(trained: dict[str, float], untrained: dict[str, float]) -> bool:
    error = (trained["standard_error"] ** 2 + untrained["standard_error"] ** 2) ** 0.5
    return trained["value"] > untrained["value"] + error


def _footnotes(rows: list[dict[str, Any]], notes: dict[str, Any]) -> list[str]:
    return [f"[^{row['name'].replace('/', '-')}]: {notes[row['name']]}" for row in rows if row["name"] in notes]


if __name__ == "__main__":
    sys.exit(main())
