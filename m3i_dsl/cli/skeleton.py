"""What `m3ic vocab --new KIND NAME` prints: a word that works, with its test, to start from.

Takes: a kind and a name. Gives: the text of a Python file and the entry of `pyproject.toml` that makes m3ic find it.
Guarantees: the word checks, compiles and trains as it is, and imports only what a word may rely on; tests/packages
installs each and does so.
"""

from __future__ import annotations

import re
from importlib.resources import files

from m3i_dsl.cli.options import CliError
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.word import Kind

_NAME = re.compile(r"[a-z][a-z0-9_]*( [a-z][a-z0-9_]*)*")


def skeleton(kind: Kind, name: str) -> str:
    """The file of a word `name`. Raises CliError for a name that no recipe could write, and one that is taken."""
    if not _NAME.fullmatch(name):
        raise CliError(f"`{name}` is no name of a word: use small letters, digits and `_`, such as `my_{kind}`")
    if name in words(kind):
        package = words(kind).package(name)
        raise CliError(f"{package or 'm3ic'} has a {kind} `{name}` already; use another name, such as `my_{name}`")
    module = name.replace(" ", "_")
    class_ = "".join(part.capitalize() for part in module.split("_"))
    text = files("m3i_dsl.cli").joinpath("skeletons", f"{kind}.txt").read_text(encoding="utf-8")
    text = text.replace("{{name}}", name).replace("{{module}}", module).replace("{{Class}}", class_)
    return f"{text}\n\n{_entry(kind, name, module, class_)}"


def _entry(kind: Kind, name: str, module: str, class_: str) -> str:
    lines = (
        "--- pyproject.toml",
        '[project.entry-points."m3ic.words"]',
        f'"{kind}.{name}" = "my_words.{module}:{class_}"',
    )
    return "".join(f"# {line}\n" for line in lines)
