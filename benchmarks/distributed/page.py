"""What was found, as a Markdown page.

Takes: results in order, what failed and why, and the setting. Gives: benchmarks/RESULTS_DISTRIBUTED.md. Guarantees:
first the targets with whether each was met, then every time that was taken, then bytes; what was not measured is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.distributed.steps import FSDP, NO_GRADIENTS, NOTHING, TRAINER, Found
from benchmarks.speed.outcome import Outcome
from benchmarks.speed.page import Setting, target_row, times_table


def page(results: Sequence[Found | Outcome], failed: Mapping[str, str], setting: Setting, processes: str) -> str:
    """The page; `failed` are cases that ended in an error, `processes` says how many there were and of what kind."""
    outcomes = [outcome_of(result) for result in results]
    lines = [
        "# Several processes",
        "",
        "What it costs to train on several processes of one machine. Written by the command below; do not edit.",
        "",
        f"{setting.date}; {setting.machine}; {processes}; {setting.versions}.",
        "",
        "```sh",
        setting.command,
        "```",
        "",
        f"Sizes: {setting.sizes}.",
        f"The sides of a case take turns, {setting.rounds} rounds; all ranks take the same turn, and a time is that of",
        "the slowest. Before any timing the first losses were found to be those of one process with the whole batch.",
        "Processor time is that of all threads of a rank, the median of the timed steps.",
        "",
        f"- `{TRAINER}`: the step of `m3ic train` on a rank's rows, with guard, watchdog and vote of hosts, in",
        "  DistributedDataParallel",
        f"- `{FSDP}`: the same with `--shard fsdp`",
        f"- `{NO_GRADIENTS}`: the same on the bare module; statistics and the verdict on bad numbers are shared",
        f"- `{NOTHING}`: the step of a process that knows of no other, while the other ranks make the same",
        "",
        "## Targets",
        "",
        "| target | limit | measured | met |",
        "| --- | ---: | ---: | --- |",
        *(target_row(target) for outcome in outcomes for target in outcome.targets),
        "",
        "## Times",
    ]
    for outcome in outcomes:
        lines += ["", f"### {outcome.name}", "", *times_table(outcome)]
        for note in outcome.notes:
            lines += ["", note]
    if rows := [row for result in results if isinstance(result, Found) for row in _traffic(result)]:
        lines += [
            "",
            "## Bytes",
            "",
            "What a rank receives in a step: observed in one of the steps above, and what `m3ic plan` counts.",
            "",
            "| recipe | | collectives | observed | planned | bytes observed | planned | difference |",
            "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    if failed:
        lines += ["", "## Not measured", "", *(f"- {name}: {reason}" for name, reason in failed.items())]
    return "\n".join([*lines, ""])


def outcome_of(result: Found | Outcome) -> Outcome:
    """The times of a result."""
    return result.outcome if isinstance(result, Found) else result


def _traffic(result: Found) -> Iterator[str]:
    for sharding, lines in result.traffic.items():
        for line in lines:
            observed, planned = line.observed, line.planned
            share = "-" if planned.received == 0 else f"{observed.received / planned.received - 1:+.1%}"
            cells = [result.outcome.name, sharding, f"{line.operation} of {line.purpose}"]
            cells += [f"{observed.count}", f"{planned.count}"]
            cells += [f"{observed.received:,.0f}", f"{planned.received:,.0f}", share]
            yield f"| {' | '.join(cells)} |"
