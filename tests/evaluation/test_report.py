"""The page holds everything, refers to nothing outside and escapes all text."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from m3i_dsl.evaluation.accuracy import accuracy
from m3i_dsl.evaluation.charts import Curve, Panel, line_chart, nice_ticks, tick_text
from m3i_dsl.evaluation.comparison import Comparison
from m3i_dsl.evaluation.report import Cloud, PictureTable, ReportData
from m3i_dsl.evaluation.report_page import highlight, render_report, write_report
from m3i_dsl.vocabulary.kinds import Measure, Result, Score

HOSTILE = "<script>alert('x')</script> & \"quoted\" ]]>"
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Elements(HTMLParser):
    """Collects elements and attributes, and fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def measured(correct: int, note: str = "", name: str = "cat") -> Result:
    predicted = torch.tensor([1] * correct + [0] * (100 - correct))
    return accuracy(predicted, torch.ones(100, dtype=torch.int64), ("none", name), note=note)


def data() -> ReportData:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    points = generator.normal(size=(30, 2)).astype(np.float32)
    labels = np.arange(30) % 3
    curve = Curve("m3i.intra", range(20), [1 / (1 + x) for x in range(20)])
    return ReportData(
        recipe_name="m3i_digits",
        recipe_text='m3i 1\nrecipe m3i_digits # a comment\ndata digits = embedded("digits")\n',
        created="2026-01-02 03:04 UTC",
        fingerprint="sha256:0123456789abcdef",
        facts={"encoder": "vit_tiny"},
        versions={"torch": "2.99", "timm": "1.99"},
        comparisons=(
            Comparison("knn", "knn(k: 20)", measured(93), {"untrained": measured(80), "raw pixels": measured(60)}),
            Comparison("linear", "linear(held_out: 20%)", measured(70, "chosen C: 0.1"), {"untrained": measured(71)}),
        ),
        targets=(Panel("m3i.intra", "loss", (curve,)),),
        progress=(Panel("knn accuracy", "%", (curve,), reference=((0.5, "untrained"),)),),
        speed=(Panel("throughput", "images/s", (curve,)),),
        monitors=(Panel("spread", "", (curve, replace(curve, name="m3i.inter"))),),
        warnings=("the target vectors of `m3i.intra` are collapsing",),
        categories=("zero", "one", "two"),
        clouds=tuple(Cloud(title, points, labels, ((0, image),)) for title in ("trained", "untrained")),
        pictures=(PictureTable("Feature maps", ("image", "trained"), ((image, image), (image, image)), "of the grid"),),
        table_columns=("row", "input data x"),
        table_rows=(("m3i_digits.intra", "masked view1"),),
        notes=("a note",),
    )


def test_everything_is_on_the_page() -> None:
    page = Elements(render_report(data()))
    for words in (
        "m3i_digits",
        "2026-01-02 03:04 UTC",
        "sha256:0123456789abcdef",
        "torch 2.99, timm 1.99",
        "vit_tiny",
        "beats every baseline in knn",
        "does not beat its best baseline in linear",
        "93.0",
        "80.0",
        "raw pixels",
        "+13.0",
        "k: 20",
        "chosen C: 0.1",
        "m3i.intra",
        "throughput",
        "spread",
        "are collapsing",
        "zero",
        "untrained",
        "Feature maps",
        "of the grid",
        "masked view1",
        'embedded("digits")',
        "a note",
    ):
        assert words in page.text, words
    assert page.tags.count("svg") == 4 + 2 + 5  # panels, clouds, bars
    assert page.tags.count("img") == 4
    assert page.tags.count("image") == 2


def test_a_measure_of_its_own_is_shown_in_its_unit_and_direction() -> None:
    surprise, rank = Measure("surprise", "nats", "lower"), Measure("rank")
    page = render_report(
        ReportData(
            "r",
            "",
            "now",
            "sha256:0",
            comparisons=(
                Comparison(
                    "mine",
                    "mine(alpha: 2)",
                    Result(surprise, 2.0, 30, 0.25, parts={"rank": Score(12.5, rank)}),
                    {"untrained": Result(surprise, 5.0, 30, 0.25, parts={"rank": Score(3.0, rank)})},
                ),
                Comparison("vague", "vague", Result(rank, 5.0, 30), {"untrained": Result(rank, 3.0, 30)}),
            ),
        )
    )
    text = Elements(page).text
    assert "surprise, lower is better" in text and "rank, higher is better" in text
    assert "2 \u00b1 0.25 nats" in text
    assert "\u22123 \u00b1 0.35" in text  # the trained encoder is three nats lower
    assert '<span class="good">&minus;3' in page
    assert "beats every baseline in mine" in text
    assert "better than its best baseline in vague, by an amount whose standard error is not known" in text
    assert re.search(r"parts of mine.*rank12.53", text)
    first, second = re.findall(r'class="fill" x="0.0" width="([\d.]+)"', page)[:2]
    assert float(second) == pytest.approx(300 * 5 / 5.25, abs=0.1)  # the axis ends where the longest whisker ends
    assert float(first) == pytest.approx(300 * 2 / 5.25, abs=0.1)


def test_nothing_outside_is_referred_to() -> None:
    text = render_report(data())
    page = Elements(text)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    references = [
        value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "action")
    ]
    assert references
    assert all(value.startswith("data:image/png;base64,") for value in references)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_all_text_is_escaped() -> None:
    hostile = data()
    curve = Curve(HOSTILE, [0, 1], [0, 1])
    panel = Panel(HOSTILE, HOSTILE, (curve, replace(curve, name="other")), HOSTILE, HOSTILE, ((0.5, HOSTILE),))
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    hostile_measure = Measure(HOSTILE, HOSTILE, "lower")
    result = Result(
        hostile_measure,
        3.0,
        10,
        0.5,
        parts={HOSTILE: Score(1.0, hostile_measure)},
        by_category={HOSTILE: 2.0},
        note=HOSTILE,
    )
    page = Elements(
        render_report(
            ReportData(
                recipe_name=HOSTILE,
                recipe_text=f"# {HOSTILE}\n{HOSTILE}\n",
                created=HOSTILE,
                fingerprint=HOSTILE,
                facts={HOSTILE: HOSTILE},
                versions={HOSTILE: HOSTILE},
                comparisons=(Comparison(HOSTILE, f"{HOSTILE}({HOSTILE})", result, {HOSTILE: replace(result)}),),
                targets=(panel,),
                progress=(panel,),
                speed=(panel,),
                monitors=(panel,),
                warnings=(HOSTILE, f"`{HOSTILE}`"),
                categories=(HOSTILE,) * 3,
                clouds=(replace(hostile.clouds[0], title=HOSTILE),),
                pictures=(PictureTable(HOSTILE, (HOSTILE,), ((image,),), HOSTILE),),
                table_columns=(HOSTILE,),
                table_rows=((HOSTILE,),),
                notes=(HOSTILE,),
            )
        )
    )
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) > 20
    assert "$" not in Elements(render_report(replace(data(), recipe_name="plain"))).text
    assert "$title" in Elements(render_report(replace(data(), recipe_text="$title"))).text


def test_empty_parts_are_left_out() -> None:
    page = Elements(render_report(ReportData("r", "m3i 1\n", "now", "sha256:0")))
    assert page.tags.count("section") == 1
    assert "svg" not in page.tags


def test_the_file_is_written_as_a_whole(tmp_path: Path) -> None:
    path = write_report(data(), tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == render_report(data())
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_highlighting_keeps_the_text() -> None:
    recipe = Path("recipes/m3i_digits.m3i").read_text(encoding="utf-8")
    assert Elements(f"<pre>{highlight(recipe)}</pre>").text == recipe
    assert '<span class="comment"># a &quot;comment&quot;</span>' in highlight('x # a "comment"')
    assert '<span class="string">&quot;a # b&quot;</span>' in highlight('data d = folder("a # b")')


def test_rows_of_pictures_fit_their_columns() -> None:
    with pytest.raises(ValueError, match="2 images"):
        PictureTable("t", ("a", "b"), ((np.zeros((2, 2, 3), dtype=np.uint8),),))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 1),
        (0.02, 0.97),
        (-3, 5),
        (1e-9, 2e-9),
        (0, 12345),
        (7, 7),
        (0, 0),
        (-1e6, 3e7),
        (math.nan, 1),
        (1e8, 1e8 + 1),
    ],
)
def test_ticks_are_round_and_span_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    steps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in itertools.pairwise(ticks)}
    assert steps == {1.0}
    if math.isfinite(low):
        slack = 1e-6 * (ticks[1] - ticks[0])
        assert ticks[0] <= low + slack
        assert ticks[-1] >= high - slack
        assert len({tick_text(tick, ticks[1] - ticks[0]) for tick in ticks}) == len(ticks)


def test_a_curve_is_where_its_values_are() -> None:
    chart = line_chart(Panel("t", "", (Curve("a", [0, 5, 10], [0, 1, 2]),), include=(4.0,)))
    points = re.search(r'<polyline class="curve" points="([^"]+)"', chart)
    assert points is not None
    (x0, y0), (x1, y1), (x2, y2) = (tuple(map(float, p.split(","))) for p in points.group(1).split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y2 > 40  # the axis reaches 4


def test_gaps_and_long_curves() -> None:
    values = [float(x) for x in range(1000)]
    values[500:510] = [math.nan] * 10
    chart = line_chart(Panel("t", "", (Curve("a", range(1000), values),)))
    assert chart.count("<polyline") == 2
    assert "nan" not in chart
    assert len(re.findall(r"[\d.]+,[\d.]+", chart)) <= 310
    nothing = line_chart(Panel("t", "", (Curve("a", [0, 1], [math.nan, math.nan]),)))
    assert "polyline" not in nothing
    assert "nan" not in nothing


def test_curves_of_one_name_share_their_entry_in_the_key() -> None:
    curves = (Curve("a", [0], [1], 0), Curve("a", [0], [2], 0, dashed=True), Curve("b", [0, 1], [1, 2], 1, dashed=True))
    chart = line_chart(Panel("t", "", curves))
    assert chart.count("<span>") == 2
    assert chart.count('class="curve dashed"') == 1
