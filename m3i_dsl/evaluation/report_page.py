"""The sections of the report as HTML.

Takes: `ReportData`. Gives: the text of the page, from `report_template.html`. Guarantees: only `charts.escape`d text
and elements made here get into it; images are data URIs.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable
from importlib.resources import files
from string import Template

from PIL import Image as Pillow

from m3i_dsl.evaluation.charts import Panel, bar, escape, line_chart, scatter
from m3i_dsl.evaluation.pictures import Image
from m3i_dsl.evaluation.report import PictureTable, ReportData
from m3i_dsl.evaluation.result import TRAINED, Comparison, Result

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
    yield _section("Results", _results(data.comparisons), _RESULTS_NOTE if data.comparisons else "")
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
    "Accuracy on the test split, with one standard error. The untrained encoder has the weights of step 0; raw pixels "
    "skip the encoder. Differences are paired over the same test images."
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
    groups: dict[str, list[str]] = {"better": [], "unclear": [], "worse": []}
    for comparison in comparisons:
        difference = comparison.difference(comparison.best_baseline)
        group = "better" if difference.clear else ("unclear" if difference.value > 0 else "worse")
        groups[group].append(comparison.trained.name)
    words = {
        "better": "beats every baseline in {}",
        "unclear": "is above its best baseline in {}, but by less than two standard errors",
        "worse": "does not beat its best baseline in {}",
    }
    sentences = [words[group].format(_join(names)) for group, names in groups.items() if names]
    return f'<p class="verdict">The trained encoder {escape("; it ".join(sentences))}.</p>'


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
    head = "<tr><th>measurement</th><th>features</th><th></th><th>accuracy</th><th>trained minus this</th></tr>"
    return f'<table class="results"><thead>{head}</thead>{"".join(map(_result_rows, comparisons))}</table>'


def _result_rows(comparison: Comparison) -> str:
    results = (comparison.trained, *comparison.baselines)
    rows: list[str] = []
    for index, result in enumerate(results):
        name = ""
        if index == 0:
            words = f"{escape(result.name)}<small>{_settings(comparison)}</small>"
            name = f'<th scope="rowgroup" rowspan="{len(results)}">{words}</th>'
        kind = "trained" if result.subject == TRAINED else "baseline"
        rows.append(
            f'<tr class="{kind}">{name}<td>{escape(result.subject)}</td>'
            f'<td class="bars">{bar(result.value, result.standard_error, kind)}</td>'
            f"<td>{_accuracy(result)}</td><td>{_difference(comparison, result)}</td></tr>"
        )
    return f"<tbody>{''.join(rows)}</tbody>"


def _settings(comparison: Comparison) -> str:
    """The evaluator's arguments, and the C that was chosen."""
    _, _, arguments = comparison.evaluator.partition("(")
    words = [arguments.removesuffix(")")] if arguments else []
    if "c" in comparison.trained.details:
        words.append(f"chosen C: {comparison.trained.details['c']:g}")
    return "<br>".join(escape(word) for word in words)


def _accuracy(result: Result) -> str:
    if result.standard_error == 0:
        return f"<b>{100 * result.value:.1f}</b> %"
    return f"<b>{100 * result.value:.1f}</b> &plusmn; {100 * result.standard_error:.1f} %"


def _difference(comparison: Comparison, result: Result) -> str:
    if result is comparison.trained:
        return ""
    difference = comparison.difference(result)
    kind = "good" if difference.clear else ("bad" if difference.value <= 0 else "unclear")
    sign = "+" if difference.value >= 0 else "&minus;"
    error = f" &plusmn; {100 * difference.standard_error:.1f}" if difference.standard_error else ""
    return f'<span class="{kind}">{sign}{abs(100 * difference.value):.1f}{error}</span>'


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
