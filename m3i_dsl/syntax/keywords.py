"""The words that the grammar itself knows, for splitting and for messages.

Takes: nothing. Gives: which words open a declaration, how a line looks that surely is one, which settings belong in
which block, and what other languages call our declarations. Guarantees: a test holds the first tables to the grammar's
terminals.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

DECLARATIONS: dict[str, str] = {
    "m3i": "m3i 1",
    "recipe": "recipe NAME",
    "use": 'use "file.m3i"',
    "param": "param NAME = value",
    "data": "data NAME = source",
    "view": "view NAME of DATA.FIELD = transform | transform",
    "views": "views NAME[COUNT] of DATA.FIELD = transform | transform",
    "encoder": "encoder NAME = word",
    "objective": "objective NAME { ... }",
    "train": "train { ... }",
    "evaluate": "evaluate { ... }",
    "stage": "stage NAME { ... }",
}
"""Every word that opens a declaration at the top level, with the shape of its statement."""

CLAUSES: dict[str, str] = {
    "_OF": "of",
    "_BY": "by",
    "_PER": "per",
    "_EVERY": "every",
    "_AT": "at",
    "_END": "end",
    "_TARGET": "target",
}
"""The words inside statements, by terminal."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "objective": ("input", "represent", "weighting", "symmetric", "target"),
    "target": ("data", "pairs", "representation", "predictor", "regularization", "distribution", "weight"),
    "train": ("batch", "epochs", "steps", "samples", "optimizer", "schedule", "precision", "seed", "clip"),
    "evaluate": (),
    "stage": (),
}
"""Where the settings of the language belong. Only for messages: the checker decides what a setting may be."""

FOREIGN_DECLARATIONS: dict[str, str] = {
    "import": 'another file is brought in by `use "file.m3i"`',
    "include": 'another file is brought in by `use "file.m3i"`',
    "from": 'another file is brought in by `use "file.m3i"`',
    "load": 'another file is brought in by `use "file.m3i"`',
    "let": "a value with a name is declared by `param NAME = value`",
    "var": "a value with a name is declared by `param NAME = value`",
    "const": "a value with a name is declared by `param NAME = value`",
    "set": "a value with a name is declared by `param NAME = value`, and set by `--set NAME=value`",
    "def": "a recipe has no functions; a new word is registered from Python",
    "class": "a recipe has no classes; a new word is registered from Python",
    "for": "a recipe has no loops",
    "while": "a recipe has no loops",
    "if": "a recipe has no conditions",
    "dataset": "where samples come from is declared by `data NAME = source`",
    "source": "where samples come from is declared by `data NAME = source`",
    "model": "a network is declared by `encoder NAME = word`",
    "network": "a network is declared by `encoder NAME = word`",
    "backbone": "a network is declared by `encoder NAME = word`",
    "augmentation": "augmented images are declared by `view NAME of DATA.FIELD = transform | transform`",
    "transform": "augmented images are declared by `view NAME of DATA.FIELD = transform | transform`",
    "loss": "what is learned is declared by `objective NAME { ... }`",
    "task": "what is learned is declared by `objective NAME { ... }`",
    "target": "a target belongs inside `objective NAME { ... }`",
    "version": "the version of the language is written `m3i 1`",
    "training": "training is described by `train { ... }`",
    "eval": "evaluation is described by `evaluate { ... }`",
    "evaluation": "evaluation is described by `evaluate { ... }`",
    "stages": "a stage is declared by `stage NAME { ... }`",
    "phase": "a stage is declared by `stage NAME { ... }`",
}

STAGED = ("objective", "train", "evaluate")
"""The declarations that may also stand in a stage."""

UNITS: dict[str, str] = {
    "px": "px",
    "pixel": "px",
    "pixels": "px",
    "pix": "px",
    "percent": "%",
    "pct": "%",
    "k": "k",
    "K": "k",
    "thousand": "k",
    "m": "M",
    "M": "M",
    "million": "M",
    "g": "G",
    "G": "G",
    "B": "G",
    "billion": "G",
    "epoch": "epochs",
    "epochs": "epochs",
    "ep": "epochs",
    "step": "steps",
    "steps": "steps",
    "iter": "steps",
    "iters": "steps",
    "iterations": "steps",
    "updates": "steps",
    "sample": "samples",
    "samples": "samples",
    "images": "samples",
    "examples": "samples",
}
"""What a unit may have been meant by, to what it is called here."""

SPACED_UNITS = frozenset({"epochs", "steps", "samples"})


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` most likely is a misspelling of."""
    found = difflib.get_close_matches(word, sorted(set(candidates) - {word}), n=1, cutoff=0.7)
    return found[0] if found else None


def home_of(setting: str) -> str | None:
    """The block that `setting` belongs in."""
    return next((block for block, settings in SETTINGS.items() if setting in settings), None)


def looks_like_declaration(words: Sequence[str]) -> bool:
    """Whether a line that starts with these token texts can be nothing but a declaration, even inside a block."""
    match list(words[:3]):
        case ["use", text, *_]:
            return text.startswith('"')
        case ["recipe", name, *rest]:
            return name.isidentifier() and (not rest or rest[0].strip("\r\n") == "" or rest[0].startswith("#"))
        case [("param" | "data" | "encoder"), name, "=", *_]:
            return name.isidentifier()
        case ["view", name, "of", *_] | ["views", name, "[", *_]:
            return name.isidentifier()
        case [("objective" | "stage"), name, "{", *_]:
            return name.isidentifier()
        case [("train" | "evaluate"), "{", *_]:
            return True
        case _:
            return False
