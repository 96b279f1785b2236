"""Whether a class is a well-formed word.

Takes: a class that a package names as a word. Gives: what is wrong with it, in clauses. Guarantees: a class without
fault can be listed, bound and printed as the words of m3ic are, and has every method that its kind calls.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from m3i_dsl.vocabulary import kinds
from m3i_dsl.vocabulary.word import Kind, Word, value_type

BASES: Mapping[Kind, tuple[type[Word], ...]] = MappingProxyType(
    {
        "modality": (kinds.Modality,),
        "source": (kinds.Source,),
        "transform": (kinds.Transform,),
        "mask": (kinds.Mask,),
        "mix": (kinds.Mix, kinds.Blend),
        "encoder": (kinds.ImageEncoder, kinds.TextEncoder, kinds.EncoderCopy),
        "predictor": (kinds.Predictor,),
        "representation": (kinds.Representation,),
        "regularization": (kinds.Regularization,),
        "distribution": (kinds.Distribution,),
        "weighting": (kinds.Weighting,),
        "optimizer": (kinds.Optimizer,),
        "schedule": (kinds.Schedule,),
        "evaluator": (kinds.Evaluator,),
    }
)
"""What a word of each kind derives from."""


def faults(found: object, kind: Kind, name: str) -> Iterator[str]:
    """What keeps `found` from being the word `name` of `kind`: clauses about "it"."""
    bases = BASES[kind]
    if not (isinstance(found, type) and issubclass(found, bases)):
        yield f"it does not derive from {' or '.join(f'`{base.__name__}`' for base in bases)}"
        return
    if vars(found).get("name") != name:
        yield f"its `name` is not `{name}`"
    if not dataclasses.is_dataclass(found) or not found.__dict__["__dataclass_params__"].frozen:
        yield "it is no frozen dataclass"
        return
    if "__slots__" not in vars(found):
        yield "its dataclass has no `slots=True`"
    if (found.__doc__ or "").startswith(f"{found.__name__}("):  # what a dataclass writes in its place
        yield "it has no docstring"
    for field in dataclasses.fields(found):
        yield from _argument(found, bases, field)
    for member in dir(found):
        method = getattr(found, member)
        if getattr(method, "__isabstractmethod__", False):
            yield f"it has no `{member}`"
        elif not member.startswith("_") and inspect.isfunction(method):
            yield from _signature(found, bases, member, method)


def _argument(word: type[Word], bases: tuple[type[Word], ...], field: dataclasses.Field[Any]) -> Iterator[str]:
    if "origin" not in field.metadata:
        yield f"its argument `{field.name}` is not declared by `argument(doc=..., origin=...)`"
        return
    if not field.metadata["doc"] or not field.metadata["origin"]:
        yield f"its argument `{field.name}` has no doc or no origin"
    if any(inspect.isfunction(getattr(base, field.name, None)) for base in bases if issubclass(word, base)):
        yield f"its argument `{field.name}` has the name of a method of its kind"
    try:
        value_type(inspect.get_annotations(word, eval_str=True)[field.name])
    except KeyError:
        return  # of a base, which is a word of its own
    except (TypeError, NameError) as fault:
        yield f"its argument `{field.name}` has a type that no recipe could write: {fault}"


def _signature(word: type[Word], bases: tuple[type[Word], ...], member: str, method: Any) -> Iterator[str]:
    """A method that the kind declares takes what the kind passes."""
    declared = next((getattr(base, member) for base in bases if issubclass(word, base) and hasattr(base, member)), None)
    if not inspect.isfunction(declared) or method is declared:
        return
    wanted, given = (list(inspect.signature(function).parameters.values()) for function in (declared, method))
    names = [parameter.name for parameter in wanted]
    more = [p for p in given[len(wanted) :] if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if [parameter.name for parameter in given[: len(wanted)]] != names or more:
        yield f"its `{member}` does not take `({', '.join(names)})`"
