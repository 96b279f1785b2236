"""The report as one HTML page.

Takes: `ReportData`. Gives: the page, from `report_template.html`, as text or as a file. Guarantees: it holds everything
it shows (no script, no external resource; images are data URIs), works from a file, in light and dark and on paper;
only `charts.escape`d text and elements made here get into it.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image as Pillow

from m3i_dsl.evaluation.charts import Panel, bar, escape, line_chart, scatter
from m3i_dsl.evaluation.comparison import Comparison, difference_text, result_text
from m3i_dsl.evaluation.pictures import Image
from m3i_dsl.evaluation.report import PictureTable, ReportData
from m3i_dsl.vocabulary.kinds import TRAINED, Result

_TOKENS = re.compile(
    r"""(?P<comment>\#[^\n]*)
    | (?P<string>"(?:\\.|[^"\\\n])*")
    | (?P<keyword>^[ ]*[a-z_0-9]+)
    | (?P<number>(?<![\w.])[+-]?[\d.]+(?:e[+-]?\d+)?(?:%|px|[kMG])?(?!\w))""",
    re.MULTILINE | re.VERBOSE,
)


def render_report(data: ReportData) -> str:
    """The whole page."""
    template = Template(files("m3i_dsl.evaluation").joinpath("report_template.html").read_text(encoding="utf-8"))
    sections = "".join(section for section in _sections(data) if section)
    return template.substitute(
        title=escape(f"{data.recipe_name} - m3ic report"),
        name=escape(data.recipe_name),
        verdict=_verdict(data.comparisons),
        facts=_facts(data),
        sections=sections,
        footer=_footer(data),
    )


def write_report(data: ReportData, path: Path) -> Path:
    """Writes the page to `path` as a whole (a new file is renamed onto it) and returns the path. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(render_report(data), encoding="utf-8")
    os.replace(fresh, path)
    return path


def png_uri(image: Image) -> str:
    """A uint8 image [H, W, 3] as a data URI."""
    stream = io.BytesIO()
    Pillow.fromarray(image, "RGB").save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def highlight(recipe: str) -> str:
    """Recipe text escaped, with comments, strings, numbers and the first word of each line marked."""
    parts: list[str] = []
    position = 0
    for match in _TOKENS.finditer(recipe):
        parts.append(escape(recipe[position : match.start()]))
        parts.append(f'<span class="{match.lastgroup}">{escape(match.group())}</span>')
        position = match.end()
    return "".join([*parts, escape(recipe[position:])])


def _sections(data: ReportData) -> Iterable[str]:
    said = " ".join((_RESULTS_NOTE, *(f"{text}." for text in data.left_out)))
    yield _section("Results", _results(data.comparisons), said if data.comparisons else "")
    yield _section("Training", _panels(data.targets), "Loss of each target before weighting.")
    yield _section("Along the way", _panels(data.progress + data.speed))
    yield _section(
        "Representations",
        _warnings(data) + _panels(data.monitors),
        "Collapse monitors of each target. Solid: what the encoder or the target yields; dashed: the prediction.",
    )
    yield _section("Embedding", _clouds(data), _EMBEDDING_NOTE if data.clouds else "")
    for table in data.pictures:
        yield _section(table.title, _pictures(table), table.caption)
    yield _section("Rows of the instantiation table", _table(data))
    yield _section("Recipe", f'<pre class="recipe">{highlight(data.recipe_text)}</pre>' if data.recipe_text else "")


_RESULTS_NOTE = (
    "On the test split, with one standard error where it is known. The untrained encoder has the weights of step 0; "
    "raw pixels skip the encoder. Differences are paired over the same test images where each has a number of its own."
)
_EMBEDDING_NOTE = (
    "t-SNE of frozen features of test images; colour is the category. Position and distance between groups mean little."
)


def _section(title: str, body: str, note: str = "") -> str:
    if not body:
        return ""
    lead = f'<p class="lead">{_words(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{lead}{body}</section>"


def _words(text: str) -> str:
    """Prose, with names in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _verdict(comparisons: tuple[Comparison, ...]) -> str:
    """One sentence that a reader takes away: where training helped, and where not."""
    if not comparisons:
        return ""
    groups: dict[str, list[str]] = {"better": [], "unclear": [], "unsure": [], "worse": []}
    for comparison in comparisons:
        difference = comparison.over_best_baseline
        if difference is None:
            continue
        close = "unsure" if difference.standard_error is None else "unclear"
        group = "better" if difference.clear else (close if difference.gain > 0 else "worse")
        groups[group].append(comparison.name)
    words = {
        "better": "beats every baseline in {}",
        "unclear": "is better than its best baseline in {}, but by less than two standard errors",
        "unsure": "is better than its best baseline in {}, by an amount whose standard error is not known",
        "worse": "does not beat its best baseline in {}",
    }
    sentences = [words[group].format(_join(names)) for group, names in groups.items() if names]
    return f'<p class="verdict">The trained encoder {escape("; it ".join(sentences))}.</p>' if sentences else ""


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _facts(data: ReportData) -> str:
    facts = {
        **data.facts,
        "made": data.created,
        "versions": ", ".join(f"{name} {version}" for name, version in data.versions.items()),
        "fingerprint": data.fingerprint,
    }
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items() if value
    )


def _results(comparisons: tuple[Comparison, ...]) -> str:
    if not comparisons:
        return ""
    head = "<tr><th>measurement</th><th>features</th><th></th><th>result</th><th>trained minus this</th></tr>"
    return f'<table class="results"><thead>{head}</thead>{"".join(map(_result_rows, comparisons))}</table>'


def _result_rows(comparison: Comparison) -> str:
    results = {TRAINED: comparison.trained, **comparison.baselines}
    rows: list[str] = []
    for subject, result in results.items():
        name, kind = "", "baseline"
        if result is comparison.trained:
            words = f"{escape(comparison.name)}<small>{_about(comparison)}</small>"
            name, kind = f'<th scope="rowgroup" rowspan="{len(results)}">{words}</th>', "trained"
        shown = bar(result.value, result.standard_error or 0.0, kind, _span(results.values()))
        rows.append(
            f'<tr class="{kind}">{name}<td>{escape(subject)}</td><td class="bars">{shown}</td>'
            f"<td>{_result(result)}</td><td>{_difference(comparison, result)}</td></tr>"
        )
    return f"<tbody>{''.join(rows)}{_parts(comparison)}</tbody>"


def _about(comparison: Comparison) -> str:
    """What is measured and which direction is better, the evaluator's arguments, and what was chosen on the way."""
    measure = comparison.measure
    _, _, arguments = comparison.evaluator.partition("(")
    words = [f"{measure.name}, {measure.direction}", arguments.removesuffix(")"), comparison.trained.note]
    return "<br>".join(escape(word) for word in words if word)


def _span(results: Iterable[Result]) -> tuple[float, float]:
    """The axis of a measurement's bars: all of a share, else from 0 to what is farthest from it."""
    known = list(results)
    if all(result.measure.unit == "%" for result in known):
        return 0.0, 1.0
    ends = [result.value + sign * (result.standard_error or 0.0) for result in known for sign in (-1, 1)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    return (low, high) if high > low else (0.0, 1.0)


def _result(result: Result) -> str:
    number, _, error = result_text(result).partition(" +- ")
    error = f" &plusmn; {escape(error)}" if error else ""
    return f"<b>{escape(number)}</b>{error} {escape(result.measure.unit)}".rstrip()


def _difference(comparison: Comparison, result: Result) -> str:
    if result is comparison.trained:
        return ""
    difference = comparison.difference(result)
    kind = "good" if difference.clear else ("bad" if difference.gain <= 0 else "unclear")
    text = escape(difference_text(difference)).replace("+-", "&plusmn;").replace("-", "&minus;")
    return f'<span class="{kind}">{text}</span>'


WORST = 20
"""So many categories of a measurement are shown, those that it is worst in."""


def _parts(comparison: Comparison) -> str:
    """Further numbers of the trained encoder, each beside its first baseline's."""
    trained = comparison.trained
    beside, other = next(iter(comparison.baselines.items()), ("", None))
    lines = [
        (name, str(score), "" if other is None or name not in other.parts else str(other.parts[name]))
        for name, score in trained.parts.items()
    ]
    measure = comparison.measure
    ordered = sorted(trained.by_category.items(), key=lambda item: measure.gain(item[1]))
    for name, value in ordered[:WORST]:
        theirs = None if other is None else other.by_category.get(name)
        lines.append((name, measure.text(value), "" if theirs is None else measure.text(theirs)))
    if not lines:
        return ""
    more = f", the worst {WORST} of {len(ordered)} categories" if len(ordered) > WORST else ""
    head = f"<tr><th></th><th>{TRAINED}</th><th>{escape(beside)}</th></tr>"
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return (
        f'<tr><td colspan="5"><details><summary>parts of {escape(comparison.name)}{more}</summary>'
        f'<table class="parts"><thead>{head}</thead><tbody>{body}</tbody></table></details></td></tr>'
    )


def _panels(panels: tuple[Panel, ...]) -> str:
    if not panels:
        return ""
    # Four stand in one line, drawn narrower so that their text keeps its size.
    kind, width = ("panels four", 250) if len(panels) % 4 == 0 else ("panels", 340)
    return f'<div class="{kind}">{"".join(line_chart(panel, width) for panel in panels)}</div>'


def _warnings(data: ReportData) -> str:
    if not data.warnings:
        return ""
    return f'<ul class="warnings">{"".join(f"<li>{_words(warning)}</li>" for warning in data.warnings)}</ul>'


def _clouds(data: ReportData) -> str:
    if not data.clouds:
        return ""
    figures = [
        scatter(
            cloud.title,
            cloud.points,
            cloud.labels,
            data.categories,
            [(index, png_uri(image)) for index, image in cloud.thumbnails],
        )
        for cloud in data.clouds
    ]
    return f'<div class="clouds">{"".join(figures)}</div>'


def _pictures(table: PictureTable) -> str:
    if not table.rows:
        return ""
    # Samples run across, so that each kind of picture is a line that the eye can follow.
    lines = [
        f'<tr><th scope="row">{escape(column)}</th>'
        + "".join(f'<td><img alt="" src="{png_uri(row[index])}"></td>' for row in table.rows)
        + "</tr>"
        for index, column in enumerate(table.columns)
    ]
    return f'<div class="scroll"><table class="pictures">{"".join(lines)}</table></div>'


def _table(data: ReportData) -> str:
    if not data.table_rows:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in data.table_columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in data.table_rows)
    return f'<div class="scroll"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _footer(data: ReportData) -> str:
    return "".join(f"<p>{escape(note)}</p>" for note in data.notes)
