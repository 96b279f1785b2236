"""Recipes as executables without weights, and the hand count of a ViT.

Takes: the name of a recipe and settings. Gives: `Planned`, an executable on `meta` with what a plan needs.
The hand counts: a multiply-add is two; norms, activations and softmax are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from m3i_dsl import driver
from m3i_dsl.artifact.lock import DataLock, Lock
from m3i_dsl.ir.graph import Graph
from m3i_dsl.lower.executable import Executable
from m3i_dsl.plan import ACCELERATORS, Plan, Setting, plan_of
from m3i_dsl.runtime.distributed.wrapping import Sharding
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value

RECIPES = Path(__file__).parents[2] / "recipes"
VIT_B = {"width": "768", "depth": "12", "heads": "12", "size": "224px", "patch": "16px"}
CATEGORIES = 10


@dataclass(frozen=True)
class Planned:
    """A recipe before any device is taken."""

    executable: Executable
    plain: Graph
    categories: dict[str, int]

    def plan(self, world: int = 1, gpu: str = "h200", sharding: Sharding = "none", **constants: float) -> Plan:
        setting = Setting(world, ACCELERATORS[gpu].replaced(constants), sharding)
        return plan_of(self.executable, self.plain, self.categories, setting)


def planned(recipe: str, settings: dict[str, str] | None = None, *, replace: dict[str, str] | None = None) -> Planned:
    """The recipe called `recipe`, with pieces of its text replaced."""
    path = RECIPES / f"{recipe}.m3i"
    text = path.read_text(encoding="utf-8")
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new)
    values = {name: parse_value(value, name) for name, value in (settings or {}).items()}
    program = driver.check_file(SourceFile(str(path), text), values).required()
    plain, graph = driver.graphs(program)
    names = tuple(map(str, range(CATEGORIES)))
    lock = Lock(data={name: DataLock(samples=0, categories=names, fingerprint="") for name in program.data}, files={})
    with torch.device("meta"):
        executable = driver.lower_graph(program, graph, lock, path.parent, load_weights=False)
    return Planned(executable, plain, dict.fromkeys(program.data, CATEGORIES))


def blocks(tokens: int, width: int, layers: int) -> int:
    """Transformer blocks: projections 4 D^2 and MLP 8 D^2 a token, scores and their sum 2 N D a token; times 2."""
    return layers * (2 * tokens * 12 * width**2 + 4 * tokens**2 * width)


def linear(tokens: int, before: int, after: int) -> int:
    return 2 * tokens * before * after
