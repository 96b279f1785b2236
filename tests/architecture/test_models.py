"""Every pydantic model refuses what it does not know: unknown keys, other types, later changes."""

from __future__ import annotations

import importlib

from pydantic import BaseModel

from tests.architecture.code import modules, parts, tree


def _models() -> list[type[BaseModel]]:
    """The models of all modules of the package whose text mentions pydantic."""
    import ast

    found: dict[str, type[BaseModel]] = {}
    for path in modules():
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree(path))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        if "pydantic" not in imported:
            continue
        module = importlib.import_module(".".join(("m3i_dsl", *parts(path))))
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel:
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return list(found.values())


def test_models_are_closed_frozen_and_strict() -> None:
    models = _models()
    assert len(models) >= 8
    for model in models:
        name = f"{model.__module__}.{model.__qualname__}"
        assert model.model_config.get("extra") == "forbid", name
        assert model.model_config.get("frozen") is True, name
        assert model.model_config.get("strict") is True, name
