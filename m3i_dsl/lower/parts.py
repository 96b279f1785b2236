"""Builds the modules of a graph.

Takes: the module declarations of the IR, the seed, the number of categories of each data. Gives: the tree of
`nn.Module`s that the graph calls, `encoders.image`, `predictors.m3i_intra`, .... Guarantees: the same seed gives the
same weights; an average starts as a copy of what it averages; averaged and frozen parts run without gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn

from m3i_dsl.ir.graph import Graph, Module, Section
from m3i_dsl.ir.likelihood_shape import likelihood_shape
from m3i_dsl.lower.machine_memory import MachineMemory
from m3i_dsl.modules.encoders.frozen import FrozenEncoder, NoGradient
from m3i_dsl.vocabulary.kinds import (
    Distribution,
    Encoder,
    EncoderContext,
    Family,
    Predictor,
    PredictorShape,
    Regularization,
    Representation,
    RepresentationShape,
    Weighting,
    WordError,
)


class PartFault(Exception):
    """The part called `part` cannot be built; `fault` says why (weights that do not fit, a tokenizer that is none)."""

    def __init__(self, part: str, fault: WordError) -> None:
        super().__init__(f"{part}: {fault.message}")
        self.part = part
        self.fault = fault


class Parts(nn.Module):
    """The root of the tree: one container for each section."""


class Group(nn.Module):
    """The modules of one section, by name."""

    def __getitem__(self, name: str) -> nn.Module:
        return self.get_submodule(attribute_name(name))

    def __contains__(self, name: str) -> bool:
        return attribute_name(name) in dict(self.named_children())

    def names(self) -> tuple[str, ...]:
        """The names that the recipe gives them."""
        return tuple(
            name.removesuffix("_") if hasattr(nn.Module, name[:-1]) else name for name, _ in self.named_children()
        )


def attribute_name(name: str) -> str:
    """The attribute that holds a module called `name`: a recipe may call one like a method of nn.Module (`train`)."""
    return f"{name}_" if hasattr(nn.Module, name) or name == "names" else name


def build_parts(
    graph: Graph, *, seed: int, categories: Mapping[str, int], base: Path, load_weights: bool = True
) -> Parts:
    """`base` is the recipe's folder, to which weights and tokenizer files are relative. Raises PartFault.

    `load_weights` False leaves out weights to start from: they are in the checkpoint that will be loaded, or the
    untrained baseline is wanted.
    """
    parts = Parts()
    memory = None if torch.get_default_device().type == "meta" else MachineMemory()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in _sources_first(graph):
            group = _group(parts, module.section)
            try:
                if memory is not None and (module.get("of") or "none") == "none":
                    memory.take(lambda m=module: _build(m, parts, graph, categories, base, load_weights=False))
                built = _build(module, parts, graph, categories, base, load_weights)
            except WordError as fault:
                raise PartFault(module.name, fault) from fault
            group.add_module(attribute_name(module.name), built)
    return parts


def _sources_first(graph: Graph) -> list[Module]:
    """The declarations with averaged and frozen copies after what they copy, otherwise in order."""
    return sorted(graph.modules, key=lambda module: (module.get("of") or "none") != "none")


def _group(parts: Parts, section: Section) -> Group:
    if section not in dict(parts.named_children()):
        parts.add_module(section, Group())
    return cast(Group, parts.get_submodule(section))


def _build(
    module: Module, parts: Parts, graph: Graph, categories: Mapping[str, int], base: Path, load_weights: bool
) -> nn.Module:
    match module.section:
        case "encoders" | "projectors":
            return _encoder_or_projector(module, parts, graph, base, load_weights)
        case "predictors":
            return module.as_a(Predictor).build(_predictor_shape(module, graph))
        case "representations":
            return module.as_a(Representation).build(_representation_shape(module, graph, categories))
        case "assignments":
            return module.as_a(Regularization).build_assignment(int(module.attribute("width")))
        case "likelihoods":
            return module.as_a(Distribution).build(likelihood_shape(module, graph))
        case "penalties":
            word = module.as_a(Regularization)
            return word.build_joint(float(module.attribute("temperature"))) if word.joint else word.build()
        case "weightings":
            families = cast(tuple[Family, ...], tuple(str(module.attribute("families")).split()))
            weights = tuple(float(weight) for weight in str(module.attribute("weights")).split())
            return module.as_a(Weighting).build(families, weights)


def _encoder_or_projector(module: Module, parts: Parts, graph: Graph, base: Path, load_weights: bool) -> nn.Module:
    source, moves = str(module.attribute("of")), str(module.attribute("moves"))
    group = _group(parts, module.section)
    if source in group:
        built = copy.deepcopy(group[source])
    else:
        built = _fresh(module, graph, base)
    if load_weights and module.section == "encoders":
        _load(module, built, base, copied=source in group)
    match moves:
        case "trained":
            return built
        case "frozen":
            return FrozenEncoder(built).train()
        case _:
            return NoGradient(built).train()


def _fresh(module: Module, graph: Graph, base: Path) -> nn.Module:
    if module.section == "projectors":
        widths = int(module.attribute("input_width")), int(module.attribute("output_width"))
        return module.as_a(Predictor).build(PredictorShape(*widths))
    masked = any(call.attribute("tokens") == "mask" for call in graph.calls_of(("encode",), module.name))
    masked |= any(len(call.arguments) > 1 for call in graph.calls_of(("encode_text",), module.name))
    return module.as_a(Encoder).build(EncoderContext(base, masked))


def _load(module: Module, built: nn.Module, base: Path, *, copied: bool) -> None:
    """The weights to start from: of a copy with a file of its own that one, else those of its word."""
    word, weights = module.as_a(Encoder), str(module.attribute("weights"))
    if weights != "none":
        word.load_file(built, base / weights)
    elif not copied:
        word.load(built, base)


def _predictor_shape(module: Module, graph: Graph) -> PredictorShape:
    """From the module's declaration; and whether it is told which tokens are of which image."""
    told = any(call.arguments[3] is not None for call in graph.calls_of(("predict_at",), module.name))
    widths = int(module.attribute("input_width")), int(module.attribute("output_width"))
    return PredictorShape(*widths, sources=2 if told else 1)


def _representation_shape(module: Module, graph: Graph, categories: Mapping[str, int]) -> RepresentationShape:
    """From the module's declaration and what its calls give it."""
    calls = graph.calls_of(("represent",), module.name)
    types = () if not calls else tuple(value.type for value in calls[0].arguments if value is not None)
    rows = module.get("rows") or 0
    return RepresentationShape(
        arguments=tuple(tuple(int(size) for size in type_.dimensions[1:]) for type_ in types),
        width=int(module.attribute("width")),
        rows=categories.get(str(module.get("data")), 0) if rows == "C" else int(rows),
    )
