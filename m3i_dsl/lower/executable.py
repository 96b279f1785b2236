"""What training and evaluation run.

Takes: a program, its graph and the lock's numbers of categories. Gives: `Executable`: the GraphModule, the inputs it
wants, which parts are averages of which, and the recipe line of each node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import fx, nn

from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.inputs import BatchInput
from m3i_dsl.lower.parts import Group, build_parts
from m3i_dsl.lower.to_fx import to_fx
from m3i_dsl.modules.encoders.frozen import NoGradient
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.values import Duration, Ramp


@dataclass(frozen=True, slots=True)
class Average:
    """`average` follows `source`: after each step, average <- m average + (1 - m) source."""

    name: str
    source: nn.Module
    average: nn.Module
    momentum: Ramp
    over: Duration | None = None


@dataclass(frozen=True)
class Executable:
    """A program ready to run. `module(**inputs)` returns the losses; see lower/to_fx.py."""

    program: Program
    graph: Graph
    module: fx.GraphModule
    averages: tuple[Average, ...]
    values: Mapping[str, str]
    """The IR value that each node computes, by the node's name."""

    @property
    def inputs(self) -> tuple[BatchInput, ...]:
        """What a step must be given."""
        return tuple(input_.source for input_ in self.graph.inputs)

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """The encoders that a step runs, by name; averaged and frozen ones without their no-gradient wrapper."""
        group = self.module.get_submodule("encoders")
        assert isinstance(group, Group)
        return {name: unwrapped(group[name]) for name in group.names()}

    @property
    def provenance(self) -> dict[str, str]:
        """`"recipe.m3i:12:3 m3i.intra"` for each node that an equation made, by the node's name."""
        nodes = self.module.graph.nodes
        return {node.name: str(node.meta["place"]) for node in nodes if "place" in node.meta}


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside a no-gradient wrapper."""
    return module.module if isinstance(module, NoGradient) else module


def lower(
    program: Program,
    graph: Graph,
    *,
    categories: Mapping[str, int],
    base: Path,
    load_weights: bool = True,
) -> Executable:
    """Builds the modules with the program's seed and the GraphModule over them. Raises WordError."""
    parts = build_parts(graph, seed=program.seed, categories=categories, base=base, load_weights=load_weights)
    module, values = to_fx(graph, parts)
    averages: list[Average] = []
    for section in ("encoders", "projectors"):
        for declared in graph.modules:
            if declared.section != section:
                continue
            encoder = program.encoders[declared.name]
            if encoder.momentum is None or encoder.of is None:
                continue
            group = module.get_submodule(section)
            assert isinstance(group, Group)
            if encoder.of not in group:
                continue
            pair = unwrapped(group[encoder.of]), unwrapped(group[encoder.name])
            averages.append(Average(f"{section}.{encoder.name}", *pair, encoder.momentum, encoder.over))
    return Executable(program, graph, module, tuple(averages), values)
