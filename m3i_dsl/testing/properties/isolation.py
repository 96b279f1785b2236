"""Stop-gradient isolation: no gradient where none is meant to go, and one everywhere else.

A target that the recipe detaches, or that comes from an averaged or frozen encoder or from pixels, must not require a
gradient inside the graph; no averaged or frozen parameter may get one. Every module that is trained must get some;
single parameters without one are named.
"""

from __future__ import annotations

from collections import defaultdict

from m3i_dsl.semantics.program import Objective, Target
from m3i_dsl.testing.captured import Captured, representations
from m3i_dsl.testing.case import Case
from m3i_dsl.testing.outcome import Failed, Property


def _check(case: Case) -> str:
    executable = case.copy()
    captured = Captured(executable, case.batch())
    held = 0
    for objective in case.program.objectives:
        for target in objective.targets:
            if still(target):
                held += _require_still(captured, objective, target)
    loss = captured.output("loss")
    if not loss.requires_grad:
        raise Failed("the loss depends on no parameter", case.program.objectives[0].span)
    loss.backward()
    for average in executable.averages:
        moved = [name for name, parameter in average.average.named_parameters() if parameter.grad is not None]
        if moved:
            encoder = case.program.encoders[average.name.partition(".")[2]]
            raise Failed(f"`{average.name}.{moved[0]}` is averaged and gets a gradient", encoder.span)
    frozen = {f"{section}.{e.name}" for e in case.program.encoders.values() if not e.trained for section in _SECTIONS}
    without: dict[str, list[str]] = defaultdict(list)
    trained: dict[str, int] = defaultdict(int)
    for name, parameter in executable.module.named_parameters():
        module = ".".join(name.split(".")[:2])
        if parameter.requires_grad and module not in frozen:
            trained[module] += 1
            if parameter.grad is None or not parameter.grad.any():
                without[module].append(name)
    for module, names in without.items():
        if len(names) == trained[module]:
            raise Failed(f"`{module}` is trained, and no gradient reaches it")
    named = [name for names in without.values() for name in names]
    shown = f"; none at {', '.join(named[:3])}{' ...' if len(named) > 3 else ''}" if named else ""
    return f"{held} targets held still, {sum(trained.values()) - len(named)} parameters get a gradient{shown}"


_SECTIONS = ("encoders", "projectors")


def still(target: Target) -> bool:
    """Whether the recipe says that the loss cannot move the target."""
    if any(placed.word.detaches for placed in target.regularizations):
        return True
    moves = target.encoder is not None and target.encoder.trained
    return not moves and not target.representation.word.trained


def _require_still(captured: Captured, objective: Objective, target: Target) -> int:
    names = representations(captured.executable.graph, f"{objective.name}.{target.name}", "target")
    for name in names:
        if captured.output(name).requires_grad:
            words = " + ".join(placed.word.name for placed in target.regularizations)
            raise Failed(
                f"a gradient reaches the target of `{objective.name}.{target.name}`, whose regularization is `{words}`",
                target.settings["regularization"],
            )
    return len(names)


ISOLATION = Property("isolation", "no gradient reaches what is held still, and one reaches all that is trained", _check)
