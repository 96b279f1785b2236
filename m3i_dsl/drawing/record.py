"""The drawing as JSON, and back.

Takes: a `Drawing`, or the text that `render` made of one. Gives: the text, or the drawing. Guarantees:
`read(render(drawing)) == drawing`; the text says which version of the form it has, and `read` refuses another.
"""

from __future__ import annotations

import dataclasses
import json

from m3i_dsl.drawing.model import Drawing

SCHEMA = "m3ic/drawing/1"


class UnknownDrawing(ValueError):
    """The text is no drawing of a version that is known here."""


def render(drawing: Drawing) -> str:
    """The drawing as JSON, one field a line."""
    return json.dumps({"schema": SCHEMA, **dataclasses.asdict(drawing)}, indent=2, ensure_ascii=True) + "\n"


def read(text: str) -> Drawing:
    """The drawing that `text` records. Raises UnknownDrawing."""
    from pydantic import TypeAdapter, ValidationError

    try:
        found: dict[str, object] = json.loads(text)
        schema = found.pop("schema")
    except (json.JSONDecodeError, TypeError, AttributeError, KeyError) as fault:
        raise UnknownDrawing("the text is no JSON object with a `schema`") from fault
    if schema != SCHEMA:
        raise UnknownDrawing(f"the schema is `{schema}`, not `{SCHEMA}`")
    try:
        return TypeAdapter(Drawing).validate_python(found)
    except ValidationError as fault:
        raise UnknownDrawing(f"the record does not have the form of `{SCHEMA}`: {fault}") from fault
