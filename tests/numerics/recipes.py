"""Every recipe of the project, compiled small and in float64.

Takes: the name of a recipe (`mae`, `table/07_mim_feature`) or the text of one. Gives: its program with a batch of 8,
its executable and real batches of digits. Guarantees: found by glob, so that no recipe is forgotten; compiled once for
each test process; weights are moved off their initial values, so that no zero bias and no average that equals its
source hides a fault.
"""

from __future__ import annotations

import copy
import functools
import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from m3i_dsl.data.stream import Stream
from m3i_dsl.driver import Compiled, check_file, compile_program
from m3i_dsl.ir.graph import Graph
from m3i_dsl.lower.executable import Executable, lower
from m3i_dsl.modules.own_rules import OwnRules
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.syntax import parse_value

ROOT = Path(__file__).parents[2] / "recipes"
BATCH = 8

SMALL = {
    "patch": "8px",
    "width": "36",
    "depth": "2",
    "heads": "3",
    "frozen": "0.5 epochs",
    "augment": "crop(32px, scale: 40%..100%) | flip | jitter(p: 80%)",
}
"""A 4 x 4 grid of 36 channels; with flips, so that relative positions mirror."""


def recipe_names() -> list[str]:
    """All recipes below recipes/: the files that have an objective, without those that are only used by others.

    Those of `official/` are recipes of the same names at another size.
    """
    paths = sorted(path for path in ROOT.rglob("*.m3i") if path.parent.name != "official")
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    return [
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path, text in texts.items()
        if re.search(r"^recipe\b", text, re.MULTILINE)
    ]


@functools.cache
def compiled(name: str) -> Compiled:
    """The recipe `name`; not to be changed by a test (see `fresh`)."""
    path = ROOT / f"{name}.m3i"
    return compile_text(path.read_text(encoding="utf-8"), path)


def compile_text(text: str, path: Path = ROOT / "text.m3i") -> Compiled:
    """A recipe from its text, as if it were the file `path`, with the small settings that it has parameters for."""
    file = SourceFile(str(path), text)
    known = check_file(file).required().parameters
    settings = {key: parse_value(value, f"<--set {key}>") for key, value in SMALL.items() if key in known}
    program = check_file(file, settings).required()
    program = replace(program, training=replace(program.training, batch=BATCH))
    return compile_program(program, path.parent)


def plain_executable(of: Compiled) -> Executable:
    """The executable of the graph before all passes, with the same initial weights."""
    return lowered(of, of.plain)


def lowered(of: Compiled, graph: Graph) -> Executable:
    """The executable of any graph of the program."""
    categories = {name: len(found.categories) for name, found in of.lock.data.items()}
    return lower(of.program, graph, categories=categories, base=ROOT)


def fresh(executable: Executable, seed: int = 1) -> Executable:
    """A copy in float64 whose parameters have been moved by noise, each by its own: averages differ from sources.

    Running centres, too, which start at zero.
    """
    module, averages = copy.deepcopy((executable.module, executable.averages))
    module.double().train()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.1 * noise)
        for name, buffer in module.named_buffers():
            if name.endswith(".center"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=generator, dtype=torch.float64))
        for pair in averages:
            for path, part in pair.average.named_modules():
                if isinstance(part, OwnRules):  # what an average only copies is the source's
                    for name in part.copied():
                        part.get_parameter(name).copy_(pair.source.get_submodule(path).get_parameter(name))
    return replace(executable, module=module, averages=averages)


def batch_at(program: Program, executable: Executable, step: int = 1) -> dict[str, Tensor]:
    """The real batch of a step, floating point in float64; in that of step 1 a caption repeats."""
    return wide(stream_of(program, executable).batch_at(step).inputs)


def stream_of(program: Program, executable: Executable) -> Stream:
    return Stream(program, executable.inputs, base=ROOT)


def wide(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}


def submodule(module: nn.Module, path: str) -> nn.Module | None:
    """The submodule at a path, or None."""
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
