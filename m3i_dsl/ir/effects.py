"""What an equation does besides computing its value.

Takes: an equation and its graph. Gives: the effects of its operation together with those of the word it calls.
Guarantees: an operation that is not declared has no effects to tell (KeyError), so that nothing unknown counts as pure.
"""

from __future__ import annotations

from m3i_dsl.ir.graph import Equation, Graph, Module
from m3i_dsl.ir.likelihood_shape import likelihood_shape
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.vocabulary.kinds import Distribution
from m3i_dsl.vocabulary.word import PURE, Effect

OBSERVABLE = frozenset({Effect.RANDOM, Effect.STATEFUL, Effect.COLLECTIVE})
"""Effects by which one call differs from two or none: such an equation is never merged, dropped or moved."""


def module_of(equation: Equation, graph: Graph) -> Module | None:
    """The declaration of the module that `equation` calls; None for a function."""
    section = OPERATIONS[equation.operation].section
    return None if section is None else graph.module(section, str(equation.attribute("module")))


def effects_of(equation: Equation, graph: Graph) -> frozenset[Effect]:
    """Of the operation, of the word with its arguments, and of the queue that a likelihood keeps."""
    module = module_of(equation, graph)
    effects = OPERATIONS[equation.operation].effects
    if equation.operation == "normalize" and equation.attribute("by") == "batch":
        effects |= {Effect.BATCH_COUPLED}
    return effects if module is None else effects | module_effects(module, graph)


def module_effects(module: Module, graph: Graph) -> frozenset[Effect]:
    """The effects of calling a module once."""
    if module.section != "likelihoods":
        # A copy takes no random decision, and a frozen one is in evaluation mode: modules/encoders/frozen.py.
        match module.get("moves") or "trained":
            case "trained":
                return module.word.effects_of()
            case "frozen":
                return PURE
            case _:
                return module.word.effects_of() - {Effect.RANDOM}
    shape = likelihood_shape(module, graph)
    queue = frozenset({Effect.STATEFUL}) if shape.queue else frozenset[Effect]()
    return module.as_a(Distribution).effects_over(shape) | queue


def is_observable(equation: Equation, graph: Graph) -> bool:
    """Whether the number and order of such calls matters beyond their values."""
    return bool(effects_of(equation, graph) & OBSERVABLE)


def treats_samples_alone(equation: Equation, graph: Graph) -> bool:
    """Whether each sample's result is a function of that sample only, so that batches may be joined and split."""
    return not effects_of(equation, graph)
