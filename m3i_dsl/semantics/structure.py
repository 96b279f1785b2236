"""What a recipe must have, and once.

Takes: the merged tree of a recipe. Gives: its trainings: one without a name, or its stages in order, each with its own
objectives, `train` and `evaluate`. Guarantees: what is missing, written twice, or of both kinds of recipe is reported
(M3I0121, M3I0126); nothing is reported as missing where something did not parse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from m3i_dsl.diagnostics import Diagnostics, Label, error
from m3i_dsl.source import Span
from m3i_dsl.syntax import ast
from m3i_dsl.syntax.load import LANGUAGE_VERSION

D = TypeVar("D", ast.Param, ast.Data, ast.View, ast.Encoder, ast.Objective, ast.Stage)
Block = TypeVar("Block", ast.Train, ast.Evaluate, ast.RecipeName)


@dataclass(frozen=True, slots=True)
class Body:
    """One training. `stage` is None where the recipe has no stages; `evaluates` are those of all stages, then its
    own.
    """

    stage: ast.Stage | None
    objectives: tuple[ast.Objective, ...]
    train: ast.Train | None
    evaluates: tuple[ast.Evaluate, ...]


def bodies_of(recipe: ast.Recipe, diagnostics: Diagnostics) -> tuple[Body, ...]:
    """The trainings of a recipe, in order."""
    declared = recipe.declarations
    evaluate = only(declared, ast.Evaluate, "evaluate", diagnostics)
    shared = (evaluate,) if evaluate is not None else ()
    stages = distinct(declared, ast.Stage, "stage", diagnostics)
    if not stages:
        objectives = distinct(declared, ast.Objective, "objective", diagnostics)
        return (Body(None, tuple(objectives), only(declared, ast.Train, "train", diagnostics), shared),)
    bodies: list[Body] = []
    for stage in stages:
        objectives = distinct(stage.items, ast.Objective, "objective", diagnostics)
        train = only(stage.items, ast.Train, "train", diagnostics, "stage")
        own = only(stage.items, ast.Evaluate, "evaluate", diagnostics, "stage")
        bodies.append(Body(stage, tuple(objectives), train, shared + ((own,) if own is not None else ())))
    return tuple(bodies)


def is_part(recipe: ast.Recipe) -> bool:
    """Whether a file only has definitions for others to use."""
    kinds = (ast.RecipeName, ast.Train, ast.Objective, ast.Stage)
    return not any(isinstance(declaration, kinds) for declaration in recipe.declarations)


def report_part(recipe: ast.Recipe, diagnostics: Diagnostics) -> None:
    """Says of a part that it is no recipe."""
    message = "there is no `recipe`, no `objective`, and no `train` in this file"
    helps = ("check the recipe that uses it", f"or start one with `m3i {LANGUAGE_VERSION}` and `recipe NAME`")
    diagnostics.add(error("M3I0126", message, _head(recipe), helps=helps))


def report_missing(recipe: ast.Recipe, diagnostics: Diagnostics) -> None:
    """What a recipe, or a stage of it, must have, and what it has of both kinds of recipe."""
    wanted: list[tuple[type, str, str]] = [
        (ast.Version, "`m3i` version", f"start the file with `m3i {LANGUAGE_VERSION}`"),
        (ast.RecipeName, "name", "add `recipe NAME` at the top"),
    ]
    parts: tuple[tuple[type, str, str], ...] = (
        (ast.Objective, "`objective`", "add `objective NAME { ... }`"),
        (ast.Train, "`train` block", "add `train { ... }`"),
    )
    stages = [declaration for declaration in recipe.declarations if isinstance(declaration, ast.Stage)]
    for class_, what, help_ in wanted if stages else (*wanted, *parts):
        if not any(isinstance(declaration, class_) for declaration in recipe.declarations):
            diagnostics.add(error("M3I0126", f"the recipe has no {what}", _head(recipe), helps=(help_,)))
    for stage in stages:
        for class_, what, help_ in parts:
            if not any(isinstance(item, class_) for item in stage.items):
                message = f"stage `{stage.name.text}` has no {what}"
                diagnostics.add(error("M3I0126", message, stage.name.span, helps=(help_,)))
    if stages:
        _report_both(recipe, stages[0], diagnostics)


def _report_both(recipe: ast.Recipe, stage: ast.Stage, diagnostics: Diagnostics) -> None:
    """An objective or `train` beside stages belongs to none of them."""
    secondary = (Label(stage.name.span, "the first stage"),)
    for declaration in recipe.declarations:
        if isinstance(declaration, (ast.Objective, ast.Train)):
            keyword = "train" if isinstance(declaration, ast.Train) else "objective"
            message = f"the recipe has stages, and this `{keyword}` belongs to none of them"
            helps = ("move it into a stage", "or leave the stages out: a recipe of one training needs none")
            place = keyword_span(declaration, keyword)
            diagnostics.add(error("M3I0126", message, place, secondary=secondary, helps=helps))


def _head(recipe: ast.Recipe) -> Span:
    """What stands for the whole recipe in a message: its name, its version, or the start of its file."""
    for class_ in (ast.RecipeName, ast.Version):
        for declaration in recipe.declarations:
            if isinstance(declaration, class_):
                return declaration.span
    return Span(recipe.span.file, 0, 0)


def distinct(declarations: Iterable[ast.Declaration], class_: type[D], kind: str, diagnostics: Diagnostics) -> list[D]:
    """The declarations of a class, each name once; a second one of the same name is reported."""
    found: dict[str, D] = {}
    for declaration in declarations:
        if not isinstance(declaration, class_):
            continue
        name = declaration.name
        if name.text in found:
            first = Label(found[name.text].name.span, "first defined here")
            message = f"{kind} `{name.text}` is defined twice"
            diagnostics.add(error("M3I0121", message, name.span, secondary=(first,), helps=("rename one of them",)))
        else:
            found[name.text] = declaration
    return list(found.values())


def only(
    declarations: Sequence[ast.Declaration],
    class_: type[Block],
    keyword: str,
    diagnostics: Diagnostics,
    owner: str = "recipe",
) -> Block | None:
    """The one block of a class; another one is reported."""
    found = [declaration for declaration in declarations if isinstance(declaration, class_)]
    if class_ is not ast.RecipeName:  # a second `recipe` is reported when the file is read
        for extra in found[1:]:
            first = Label(keyword_span(found[0], keyword), "the first one")
            message = f"a {owner} has one `{keyword}` block"
            helps = ("put the lines of both into one",)
            diagnostics.add(error("M3I0121", message, keyword_span(extra, keyword), secondary=(first,), helps=helps))
    return found[0] if found else None


def keyword_span(block: ast.Declaration, keyword: str) -> Span:
    """The keyword that a block starts with."""
    return Span(block.span.file, block.span.start, block.span.start + len(keyword))
