"""The outcomes as a Markdown page.

Takes: outcomes in order, what was left out and why, and the setting. Gives: benchmarks/RESULTS.md. Guarantees: first
the targets with whether each was met, then every time that was taken; what was not measured is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speed.outcome import Outcome, Target


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all cases, in words."""

    date: str
    machine: str
    versions: str
    command: str
    sizes: str
    rounds: int
    threads: int


def page(outcomes: Sequence[Outcome], failed: Mapping[str, str], absent: Mapping[str, str], setting: Setting) -> str:
    """The page; `failed` are cases that ended in an error, `absent` peers that were not there."""
    targets = [target for outcome in outcomes for target in outcome.targets]
    lines = [
        "# Speed",
        "",
        "Whole training steps of compiled recipes beside the same methods by hand and in other libraries, and the",
        "compiler's rewrites one by one. Written by the command below; do not edit.",
        "",
        f"{setting.date}; {setting.machine}; {setting.threads} threads; {setting.versions}.",
        "",
        "```sh",
        setting.command,
        "```",
        "",
        f"Sizes: {setting.sizes}.",
        f"The sides of a case take turns in one process, {setting.rounds} rounds or more; ratios are of least times.",
        "Each case has a fresh process.",
        "Before any timing the numbers of trained parameters were found equal (of other libraries: within 1%), and so",
        "were the first losses of hand-written and naive steps with the same weights on the same batch.",
        "Hand-written steps are in `benchmarks/speed/handwritten/`, one file a method: timm's ViT, fused attention and",
        "AdamW, one update for all averages. A step of m3ic is what `m3ic train` runs, with its guard against numbers",
        "that are not finite.",
        "",
        "## Targets",
        "",
        "| target | limit | measured | met |",
        "| --- | ---: | ---: | --- |",
        *(target_row(target) for target in targets),
        "",
        "## Times",
    ]
    for outcome in outcomes:
        lines += ["", f"### {outcome.name}", "", *times_table(outcome)]
        for note in outcome.notes:
            lines += ["", note]
    lines += ["", "## Not measured", ""]
    lines += [f"- {name}: {reason}" for name, reason in {**failed, **absent}.items()]
    lines += ["- ViT-B/16 and ViT-L/16 in bf16: `python -m benchmarks.gpu` measures them where there is a GPU", ""]
    return "\n".join(lines)


def target_row(target: Target) -> str:
    """A row of: target, limit, measured, met."""
    measured = "-" if target.value is None else f"{target.value:.2f}"
    met = {True: "yes", False: "no", None: "not measured"}[target.met]
    note = f" ({target.note})" if target.note else ""
    return f"| {target.text} | {target.sense} {target.limit:g} | {measured}{note} | {met} |"


def times_table(outcome: Outcome) -> list[str]:
    """Times in ms of every side, and its further columns."""
    extra = list(dict.fromkeys(column for columns in outcome.extra.values() for column in columns))
    head = ["side", "least, ms", "median, ms", f"least over {outcome.subject}", *extra]
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    ours = outcome.times[outcome.subject].minimum
    for side, timed in outcome.times.items():
        cells = [side, f"{1e3 * timed.minimum:.2f}", f"{1e3 * timed.median:.2f}", f"{timed.minimum / ours:.3f}"]
        cells += [outcome.extra.get(side, {}).get(column, "") for column in extra]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
