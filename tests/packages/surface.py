"""What a word of another package may rely on: the modules that CONTRIBUTING.md lists, and nothing else of m3ic."""

from __future__ import annotations

import ast

STABLE = frozenset(
    {
        "m3i_dsl.collectives",
        "m3i_dsl.vocabulary.draws",
        "m3i_dsl.vocabulary.kinds",
        "m3i_dsl.vocabulary.limits",
        "m3i_dsl.vocabulary.modalities",
        "m3i_dsl.vocabulary.values",
        "m3i_dsl.vocabulary.word",
    }
)


def imported(tree: ast.AST) -> set[str]:
    """The modules of m3ic that a file imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
    return {module for module in found if module.partition(".")[0] == "m3i_dsl"}
