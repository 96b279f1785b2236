"""What one stage hands over to the next: encoders with their projectors, and nothing else.

Takes: the executables of the stages, in order. Gives: `Edge`s, which say what of which stage's result each encoder of
a later stage starts from; the tensors that a stage hands over; and a stage that starts from them. Guarantees: a weight
comes from the last stage that trained it; a copy (`ema of`, `frozen of`) gets the weights of what it copies, but for
one with a file of its own; an encoder that `start` names fits as a whole or is refused (StartFault).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from m3i_dsl.lower.executable import Executable, unwrapped
from m3i_dsl.lower.parts import Group
from m3i_dsl.semantics.program import EncoderDeclaration
from m3i_dsl.vocabulary.kinds import Encoder

SECTIONS = ("encoders", "projectors")

OPTIONAL = frozenset({"mask_token"})
"""What an encoder has in the stages that mask its input only."""


class StartFault(Exception):
    """`encoder` cannot start from the one that it names: `parameter` of it differs, in the words of `why`."""

    def __init__(self, encoder: str, parameter: str, why: str) -> None:
        super().__init__(f"{encoder}: `{parameter}` {why}")
        self.encoder = encoder
        self.parameter = parameter
        self.why = why


@dataclass(frozen=True, slots=True)
class Edge:
    """Encoder `into` of stage `to` starts from encoder `encoder` as stage `source` left it.

    `parameters` are those that it takes, by name (`encoders/model.norm.weight`), with their shapes in stage `to`.
    """

    encoder: str
    source: str
    into: str
    to: str
    parameters: Mapping[str, tuple[int, ...]]


def edges_of(stages: Sequence[Executable]) -> tuple[Edge, ...]:
    """All edges between the stages. Raises StartFault."""
    return tuple(edge for place in range(1, len(stages)) for edge in _edges_to(stages[:place], stages[place]))


def handed_over(executable: Executable) -> dict[str, Tensor]:
    """The tensors that the stages after this one may start from: `encoders.image/model.norm.weight`."""
    found: dict[str, Tensor] = {}
    for section, name, module in _modules(executable):
        if executable.program.encoders[name].trained:
            for key, tensor in module.state_dict().items():
                found[f"{section}.{name}/{key}"] = tensor.detach()
    return found


def receive(executable: Executable, edges: Sequence[Edge], result_of: Callable[[str], Mapping[str, Tensor]]) -> None:
    """Gives the encoders of a stage what its `edges` say. `result_of` are the tensors that a stage handed over.

    Raises KeyError when one of them is missing.
    """
    modules = {(section, name): module for section, name, module in _modules(executable)}
    for edge in edges:
        result = result_of(edge.source)
        for section in SECTIONS:
            names = [n.partition("/")[2] for n in edge.parameters if n.startswith(f"{section}/")]
            if not names:
                continue
            module, word = modules[section, edge.into], executable.program.encoders[edge.into].word.word
            given = {name: result[f"{section}.{edge.encoder}/{name}"] for name in names}
            state = {name: word.fitted(module, name, tensor) for name, tensor in given.items()}
            module.load_state_dict(state, strict=False)


def _edges_to(before: Sequence[Executable], stage: Executable) -> Iterator[Edge]:
    assert stage.program.stage is not None
    found: dict[tuple[str, str, str], dict[str, tuple[int, ...]]] = {}
    for section, name, module in _modules(stage):
        declaration = stage.program.encoders[name]
        if declaration.weights is not None and section == "encoders":
            continue
        own = stage.program.encoders[declaration.of or name]
        state = module.state_dict()
        for encoder, source, key in _sources(before, section, own, module, state):
            found.setdefault((encoder, source, name), {})[f"{section}/{key}"] = tuple(state[key].shape)
    for (encoder, source, into), parameters in found.items():
        yield Edge(encoder, source, into, stage.program.stage, parameters)


def _sources(
    before: Sequence[Executable], section: str, own: EncoderDeclaration, module: nn.Module, state: Mapping[str, Tensor]
) -> Iterator[tuple[str, str, str]]:
    """(encoder, stage, name) for each tensor of `state` that an earlier stage has trained."""
    trained = list(_trained(before, section, own.name))
    for key in state:
        stage = next((stage for stage, other in trained if key in other), None)
        if stage is not None:
            yield own.name, str(stage.program.stage), key
    if trained or own.start is None:
        return
    for stage, other in _trained(before, section, own.start):
        problem = _misfit(own.word.word, module, state, other)
        if problem is None:
            yield from ((own.start, str(stage.program.stage), key) for key in state if key in other)
        elif section == "encoders":
            raise StartFault(own.name, *problem)
        return


def _trained(
    before: Sequence[Executable], section: str, encoder: str
) -> Iterator[tuple[Executable, Mapping[str, Tensor]]]:
    """The stages that train a part, the last one first, with its state."""
    for stage in reversed(before):
        for other_section, name, module in _modules(stage):
            if (other_section, name) == (section, encoder):
                yield stage, module.state_dict()


def _misfit(
    word: Encoder, module: nn.Module, own: Mapping[str, Tensor], other: Mapping[str, Tensor]
) -> tuple[str, str] | None:
    """The first parameter that is on one side only or of another shape, and how."""
    for name in sorted((own.keys() | other.keys()) - OPTIONAL):
        if name not in other:
            return name, "is not in the encoder to start from"
        if name not in own:
            return name, "of the encoder to start from has no place"
        if word.fitted(module, name, other[name]).shape != own[name].shape:
            return (
                name,
                f"has the shape {list(own[name].shape)}, and {list(other[name].shape)} in the one to start from",
            )
    return None


def _modules(executable: Executable) -> Iterator[tuple[str, str, nn.Module]]:
    """(section, name of the encoder, module without wrapper) of every encoder and projector."""
    groups = dict(executable.module.named_children())
    for section in SECTIONS:
        if section in groups:
            group = groups[section]
            assert isinstance(group, Group)
            yield from ((section, name, unwrapped(group[name])) for name in group.names())
