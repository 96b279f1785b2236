"""Each format: well formed whatever the names are, and with everything that the drawing has."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise

import pytest

from m3i_dsl.drawing import FORMATS, Drawing, Edge, Group, Node, dot, mermaid, palette, record, svg, symbols
from m3i_dsl.drawing.palette import BRANCHES, INK, PAPER, QUIET, TARGETS
from tests.drawing.programs import NAMES, drawing_of

SVG = "{http://www.w3.org/2000/svg}"
HARD = "a \"quoted\" <b>&amp; 'x' \\ \\n `c` #35; %% --> | {} [] \u03b8\u4e00\U0001f600 \x00\x1b\ud800 ]]>"
"""What a name or a file name could hold that means something in one of the formats."""


def _hard() -> Drawing:
    nodes = (
        Node("data", "data", "data", "", HARD, (HARD,), about=HARD),
        Node(HARD, "call", "online", "f_theta", HARD, (HARD,), about=HARD, line=3),
        Node("p", "predictor", "target", "f_psi", HARD, group="g"),
        Node("y", "target", "data", "z_y", "", (HARD,), group="g"),
        Node("l", "loss", "target", "-log P", HARD, (HARD,), group="g"),
        Node("total", "total", "total", "L", ""),
    )
    edges = (
        Edge("data", HARD, "data", label=HARD),
        Edge(HARD, "p", "online"),
        Edge("data", "y", "data", label="y"),
        Edge("p", "l", "target"),
        Edge("y", "l", "data", stop_gradient=True),
        Edge("l", "total", "target", label=HARD),
    )
    return Drawing(HARD, nodes, edges, (Group("g", HARD, ("p", "y", "l")),), (HARD,))


DRAWINGS = [*(pytest.param(name, id=name) for name in NAMES), pytest.param("", id="hard names")]


def _drawing(name: str) -> Drawing:
    return drawing_of(name) if name else _hard()


# --- svg --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWINGS)
def test_svg_is_xml_that_shows_every_text(name: str) -> None:
    drawing = _drawing(name)
    text = svg.render(drawing)
    root = ElementTree.fromstring(text)
    assert text.isascii()
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    shown = ["".join(element.itertext()).replace("\u00a0", " ") for element in root.iter(f"{SVG}text")]
    if name:
        for node in drawing.nodes:
            assert (
                symbols.text(node.symbol).replace("_", "") + (" " if node.symbol and node.title else "") + node.title
                in shown
            )
        assert all(group.label in shown for group in drawing.groups)
        assert {edge.label for edge in drawing.edges if edge.kind == "flow" and edge.label} <= set(shown)
        title = root.find(f"{SVG}title")
        assert title is not None and title.text == drawing.name
    assert sum(line == "sg" for line in shown) == sum(edge.stop_gradient for edge in drawing.edges)
    tooltips = root.findall(f"{SVG}g/{SVG}title")
    assert len(tooltips) == len(drawing.nodes)


@pytest.mark.parametrize("name", DRAWINGS)
def test_svg_is_self_contained(name: str) -> None:
    root = ElementTree.fromstring(svg.render(_drawing(name)))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "path", "polygon", "circle", "text", "tspan"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not any("href" in name or name.startswith("on") or name == "style" for name in attributes)
    background = next(iter(root.iter(f"{SVG}rect")))
    assert (background.get("width"), background.get("fill")) == ("100%", PAPER)


def test_svg_has_everything_inside_its_size() -> None:
    root = ElementTree.fromstring(svg.render(drawing_of("recipes/m3i.m3i")))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    for element in root.iter(f"{SVG}text"):
        assert 0 < float(element.attrib["x"]) < width
        assert 0 < float(element.attrib["y"]) < height


def test_a_legend_explains_what_is_there_and_no_more() -> None:
    mae, m3i = (svg.render(drawing_of(f"recipes/{name}.m3i")) for name in ("mae", "m3i"))
    for meaning in ("averaged encoder", "moving average", "stop gradient (sg)"):
        assert meaning in m3i
        assert meaning not in mae


def _luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colors_have_the_contrast_of_wcag_aa() -> None:
    for color in (*BRANCHES.values(), *TARGETS):
        assert min(_contrast(ink, color.fill) for ink in (INK, QUIET)) >= 4.5
        assert _contrast(color.stroke, color.lane) >= 4.5, "labels of lanes have the colour of their arrows"


def test_targets_and_branches_differ_in_color() -> None:
    strokes = [color.stroke for color in (*BRANCHES.values(), *TARGETS)]
    assert len(set(strokes)) == len(strokes)
    drawing = drawing_of("recipes/m3i.m3i")
    colors = palette.of(drawing)
    assert len({colors.group(group).stroke for group in drawing.groups}) == 3


# --- mermaid ----------------------------------------------------------------------------------------------------------

_MERMAID = (
    r'---|title: ".*"|flowchart LR',
    r'  (  )?n\d+(\[\(|\(\(|\(\[|\[|\()"(?P<label>[^"`<>]|<br/>)*"(\)\]|\)\)|\]\)|\]|\))',
    r'  subgraph g\d+\["[^"`<>]*"\]',
    r"  end",
    r'  n\d+ (-->|-\.->)(\|"[^"`<>]*"\|)? n\d+',
    r"  style [ng]\d+ fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6},color:#[0-9a-f]{6}",
)


@pytest.mark.parametrize("name", DRAWINGS)
def test_mermaid_lines_have_one_of_its_forms_and_ends_are_declared(name: str) -> None:
    drawing = _drawing(name)
    lines = mermaid.render(drawing).rstrip("\n").split("\n")
    assert [line for line in lines if not any(re.fullmatch(form, line) for form in _MERMAID)] == []
    declared = [match[1] for line in lines if (match := re.match(r"\s+(n\d+)[\[(]", line))]
    assert sorted(declared) == sorted(f"n{index}" for index in range(len(drawing.nodes)))
    ends = [match.groups() for line in lines if (match := re.match(r"  (n\d+) -.*> ?(?:\|.*\| )?(n\d+)$", line))]
    assert len(ends) == len(drawing.edges)
    assert {end for pair in ends for end in pair} <= set(declared)
    opened = sum(line.startswith("  subgraph") for line in lines)
    assert opened == sum(line == "  end" for line in lines) == len(drawing.groups)


def test_mermaid_marks_averages_and_stopped_gradients() -> None:
    text = mermaid.render(drawing_of("recipes/byol.m3i"))
    assert '-.->|"EMA 0.996 \u2192 1 cosine"|' in text
    assert '-->|"// sg"|' in text


# --- dot --------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|[{}\[\]=;,]|[A-Za-z_][A-Za-z_0-9]*|\s+', re.DOTALL)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, f"no token of dot at {text[at : at + 20]!r}"
        at = match.end()
        if not match[0].isspace():
            tokens.append(match[0])
    return tokens


@pytest.mark.parametrize("name", DRAWINGS)
def test_dot_is_balanced_and_ends_are_declared(name: str) -> None:
    drawing = _drawing(name)
    tokens = _tokens(dot.render(drawing))
    depth: list[str] = []
    for token in tokens:
        if token in "{[":
            depth.append(token)
        elif token in "}]":
            assert depth.pop() == {"}": "{", "]": "["}[token]
    assert depth == []
    declared = {a for a, b in pairwise(tokens) if re.fullmatch(r"n\d+", a) and b == "["}
    arrows = [index for index, token in enumerate(tokens) if token == "->"]
    assert len(arrows) == len(drawing.edges)
    assert {tokens[index + side] for index in arrows for side in (-1, 1)} <= declared
    assert declared == {f"n{index}" for index in range(len(drawing.nodes))}


# --- json -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWINGS)
def test_json_reads_back(name: str) -> None:
    drawing = _drawing(name)
    text = record.render(drawing)
    assert json.loads(text)["schema"] == "m3ic/drawing/1"
    assert record.read(text) == drawing


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "no JSON object"),
        ('{"schema": "m3ic/drawing/2"}', "not `m3ic/drawing/1`"),
        ('{"schema": "m3ic/drawing/1"}', "does not have the form"),
        (record.render(_hard()).replace('"target": "l"', '"target": "nowhere"'), "edges end at nodes"),
    ],
)
def test_what_is_no_drawing_is_refused(text: str, says: str) -> None:
    with pytest.raises(record.UnknownDrawing, match=says):
        record.read(text)


# --- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", DRAWINGS)
def test_texts_can_be_written_and_have_no_control_characters(form: str, name: str) -> None:
    text = FORMATS[form](_drawing(name))
    assert text.encode("utf-8")
    assert [c for c in text if ord(c) < 32 and c != "\n"] == []


@pytest.mark.parametrize("form", FORMATS)
def test_equal_drawings_have_equal_texts(form: str) -> None:
    drawing = drawing_of("recipes/m3i.m3i")
    again = replace(drawing, nodes=tuple(replace(node) for node in drawing.nodes))
    assert FORMATS[form](drawing) == FORMATS[form](again)
