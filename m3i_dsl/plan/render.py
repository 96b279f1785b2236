"""The plan as a person reads it.

Takes: a plan or differences. Gives: text on standard output, in columns. Guarantees: counted numbers and modelled ones
stand under headings that say which they are; no line is longer than 100 characters but for names of the recipe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from m3i_dsl.plan.accelerators import Accelerator
from m3i_dsl.plan.communication import ALLOWED, disagreements
from m3i_dsl.plan.difference import PlanDifference
from m3i_dsl.plan.schema import Plan

_WIDTH = 100
_SHOWN = 1e-6
"""Seconds that a few bytes of statistics do not take."""


def print_plan(plan: Plan, accelerator: Accelerator, *, color: bool) -> None:
    """Prints all sections."""
    page = _Page(color)
    devices = f"{plan.world} x {accelerator.title}" + (f" in {plan.nodes} nodes" if plan.nodes > 1 else "")
    batch = f"batch {plan.batch:,}" + (f" = {plan.world} x {plan.local_batch:,}" if plan.world > 1 else "")
    page.title(plan.recipe, f"{devices}, {batch}, {plan.precision}")
    _targets(page, plan)
    _encoders(page, plan)
    _flops(page, plan)
    _memory(page, plan)
    _candidates(page, plan)
    _time(page, plan, accelerator)
    _communication(page, plan)
    _data(page, plan)
    _verdict(page, plan)
    page.print()


def print_differences(found: Sequence[PlanDifference], folder: Path, *, color: bool) -> None:
    """Prints what changed, by kind; one line when nothing did."""
    page = _Page(color)
    if not found:
        page.line(f"the recipe and {folder} are the same program")
    for kind, group in itertools.groupby(found, key=lambda difference: difference.kind):
        page.section(kind, "")
        if kind == "words":
            _words(page, group)
            continue
        rows = [(d.where, d.before or "-", "->", d.after or "-", _change(d.ratio)) for d in group]
        page.table([""] * 5, rows, right=(1,) if any(row[4] for row in rows) else ())
    page.print()


def _words(page: _Page, found: Iterable[PlanDifference]) -> None:
    for where, group in itertools.groupby(found, key=lambda difference: difference.where):
        page.line(f"  {escape(where)}")
        for difference in group:
            if difference.before is not None:
                page.line(f"    [red]- {escape(difference.before)}[/red]")
            if difference.after is not None:
                page.line(f"    [green]+ {escape(difference.after)}[/green]")


def _change(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio - 1:+.1%}"


class _Page:
    """Lines, printed at once and without the blanks that pad columns."""

    def __init__(self, color: bool) -> None:
        self._console = Console(width=_WIDTH, no_color=not color, highlight=False, force_terminal=color, soft_wrap=True)
        self._lines: list[str] = []

    def title(self, name: str, rest: str) -> None:
        self._add(Text.assemble((name, "bold cyan"), "  ", rest))

    def section(self, name: str, how: str) -> None:
        if self._lines:
            self._add(Text(""))
        self._add(Text.assemble((f"{name:<14}  " if how else name, "bold"), (how, "dim")))

    def line(self, markup: str) -> None:
        self._add(Text.from_markup(markup))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
        """`right`: the columns of numbers."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(header))
        for index, name in enumerate(header):
            table.add_column(name, justify="right" if index in right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        with self._console.capture() as captured:
            self._console.print(table)
        self._lines += [f"  {line}".rstrip() for line in captured.get().splitlines()]

    def print(self) -> None:
        print("\n".join(self._lines))

    def _add(self, text: Text) -> None:
        with self._console.capture() as captured:
            self._console.print(text, soft_wrap=True)
        self._lines += [line.rstrip() for line in captured.get().split("\n")[:-1]]


# --- sections ---------------------------------------------------------------------------------------------------------


def _targets(page: _Page, plan: Plan) -> None:
    page.section("targets", "")
    for target in plan.targets:
        weight = f"{target.weight:g} x " if target.weight != 1 else ""
        page.line(
            f"  [cyan]{escape(target.name)}[/cyan]  {weight}{escape(target.input_data)} -> {escape(target.target_data)}"
        )
        words = (target.predictor, target.target_representation, target.regularization, target.distribution)
        page.line(f"    {escape(', '.join(words))}")


def _encoders(page: _Page, plan: Plan) -> None:
    page.section("encoders", "counted")
    rows = [
        (
            encoder.name,
            encoder.moves,
            f"{encoder.parameters:,}",
            str(encoder.calls_after)
            + (f" of {encoder.calls_before}" if encoder.calls_before != encoder.calls_after else ""),
            flops(encoder.forward),
            flops(encoder.backward) if encoder.backward else "-",
        )
        for encoder in plan.encoders
    ]
    page.table(("", "", "parameters", "calls a step", "forward a sample", "backward"), rows, right=(2, 3, 4, 5))
    parameters = plan.parameters
    page.line(
        f"  all parts: {parameters.trained:,} trained, {parameters.averaged:,} averaged, {parameters.frozen:,} frozen"
    )


def _flops(page: _Page, plan: Plan) -> None:
    count = plan.flops
    page.section("FLOPs a sample", "counted, attention included")
    rows = [
        ("encoders", flops(count.encoder_forward), flops(count.encoder_backward)),
        ("predictors", flops(count.predictor_forward), flops(count.predictor_backward)),
        ("losses", flops(count.loss_forward), flops(count.loss_backward)),
        ("total", flops(count.forward), flops(count.backward)),
    ]
    shares = [f"{100 * (f + b) / max(1, count.total):.1f}%" for f, b in _pairs(plan)]
    rows = [(*row, share) for row, share in zip(rows, [*shares, flops(count.total)], strict=True)]
    page.table(("", "forward", "backward", ""), rows, right=(1, 2, 3))


def _pairs(plan: Plan) -> list[tuple[int, int]]:
    count = plan.flops
    return [
        (count.encoder_forward, count.encoder_backward),
        (count.predictor_forward, count.predictor_backward),
        (count.loss_forward, count.loss_backward),
    ]


def _memory(page: _Page, plan: Plan) -> None:
    memory = plan.memory
    page.section("memory", "of one device, counted; CUDA itself takes about 1 GB more")
    still = memory.weights + memory.averages + memory.frozen + memory.buffers
    rows = [
        (
            "weights",
            size(still),
            f"trained {size(memory.weights)}, averaged {size(memory.averages)}, "
            f"frozen {size(memory.frozen)}, buffers {size(memory.buffers)}",
        ),
        ("optimizer", size(memory.optimizer), ""),
        ("gradients", size(memory.gradients), ""),
        ("batch", size(memory.batch), ""),
        (
            "activations",
            size(memory.activations),
            f"{size(memory.activations / plan.local_batch)} a sample, kept for the backward pass",
        ),
    ]
    if memory.weight_copies:
        rows.append(("bf16 weights", size(memory.weight_copies), "kept by autocast for the backward pass"))
    if memory.more_candidates:
        rows.append(("candidates", size(memory.more_candidates), "modelled: logits for those of other devices"))
    share = memory.peak / memory.capacity
    fits = f"{share:.0%} of {size(memory.capacity)}"
    rows.append(("peak", size(memory.peak), fits if share <= 1 else f"[bold red]{fits}: does not fit[/bold red]"))
    page.table(("", "", ""), rows, right=(1,))


def _candidates(page: _Page, plan: Plan) -> None:
    if not plan.candidates:
        return
    page.section("candidates", "of one device, counted")
    rows = [
        (
            candidates.target,
            f"{candidates.rows:,} x {candidates.columns:,} {candidates.candidates}",
            "both ways" if candidates.directions == 2 else "one way",
            size(candidates.logits)
            + (f", {size(candidates.held)} at a time" if candidates.held < candidates.logits else ""),
            size(candidates.queue) if candidates.queue else "-",
        )
        for candidates in plan.candidates
    ]
    page.table(("", "choices x candidates", "", "logits", "queue"), rows, right=(3, 4))


def _time(page: _Page, plan: Plan, accelerator: Accelerator) -> None:
    time, sent = plan.time, plan.communication
    page.section("step", f"modelled for {accelerator.title}, optimistic: no stragglers, no stalls")
    rate = accelerator.value("matmul_bf16" if plan.precision == "bf16" else "matmul_fp32")
    efficiency = accelerator.value("efficiency")
    rows = [("compute", seconds(time.compute), f"at {efficiency:.0%} of {flops(rate)}/s ({plan.precision})")]
    parts = (("  encoders", time.encoders), ("  heads", time.heads), ("  losses", time.losses))
    rows += [(name, seconds(part), f"{part / time.compute:.0%} of the FLOPs") for name, part in parts if part >= _SHOWN]
    if plan.world > 1:
        hidden = f", {seconds(time.hidden_communication)} behind compute" if time.hidden_communication else ""
        what = "gradients" if sent.shard == "none" else "weights and gradients"
        received = size(sent.received("parameters", "gradients"))
        rows.append((what, seconds(time.exposed_communication), f"{received} a device{hidden}"))
        coupled = "candidates" if sent.received("candidates") else "statistics"
        if time.gather >= _SHOWN:
            rows.append((coupled, seconds(time.gather), f"{size(sent.received('candidates', 'statistics'))} a device"))
    if time.logits >= _SHOWN:
        rows.append(("logits", seconds(time.logits), "memory traffic"))
    if time.augmentation >= _SHOWN:
        rows.append(("augmentation", seconds(time.augmentation), "memory traffic"))
    rows.append(("optimizer", seconds(time.update - time.averages), "memory traffic"))
    if time.averages:
        rows.append(("averages", seconds(time.averages), "memory traffic"))
    if time.data:
        cores = f"{accelerator.value('cores'):g} cores"
        rows.append(("data", seconds(time.data), f"decoding on {cores} a device, beside the device"))
    if time.transfer >= _SHOWN:
        rows.append(("transfer", seconds(time.transfer), "images to the device, beside what it computes"))
    scaling = f", {time.scaling:.0%} of linear" if plan.world > 1 else ""
    total = f"{time.samples_per_second:,.0f} samples/s{scaling}, {time.utilization:.0%} of the matrix rate"
    rows.append(("step", seconds(time.step), total))
    page.table(("", "", ""), rows, right=(1,))


def _communication(page: _Page, plan: Plan) -> None:
    """Only where there was a dry run: what it observed, beside what was counted."""
    sent = plan.communication
    if not sent.dry_run:
        return
    page.section("dry run", f"observed in a step of one of {plan.world:,} processes, --shard {sent.shard}")
    rows = [
        (
            line.purpose,
            line.operation,
            "-" if line.observed_collectives is None else f"{line.observed_collectives:,}",
            f"{line.collectives:,}",
            "-" if line.observed_received is None else size(line.observed_received),
            size(line.received),
            "-" if line.difference is None else f"{line.difference:+.1%}",
        )
        for line in sent.traffic
    ]
    header = ("", "", "calls observed", "analytic", "bytes observed", "analytic", "difference")
    page.table(header, rows, right=(2, 3, 4, 5, 6))
    if sent.shard == "none":
        page.line("  the first step reduces all gradients at once; later ones in the buckets that are counted")
    for line in disagreements(sent):
        page.line(f"  [bold red]{line.operation} of {line.purpose}: the plan is more than {ALLOWED:.0%} off[/bold red]")


def _data(page: _Page, plan: Plan) -> None:
    if not plan.data.images_a_sample:
        return
    page.section("data", "modelled, all devices")
    data = plan.data
    page.line(
        f"  {data.images_per_second:,.0f} images/s, {data.megabytes_per_second:,.0f} MB/s from storage, "
        f"{data.cores_per_device:.1f} cores a device to decode"
    )


def _verdict(page: _Page, plan: Plan) -> None:
    page.section("limit", "")
    page.line(f"  [bold]{plan.time.limit}[/bold]")
    training = plan.training
    if training.steps is not None and training.hours is not None and training.device_hours is not None:
        booked = f", {training.device_hours:,.3g} device hours" if training.device_hours >= 0.01 else ""
        page.line(f"  {training.steps:,} steps: {_hours(training.hours)}{booked}")
    for note in plan.notes:
        page.line(f"  note: {escape(note)}")


# --- numbers ----------------------------------------------------------------------------------------------------------


def flops(value: float) -> str:
    """`35.1 GFLOP`."""
    return _scaled(value, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"))


def size(value: float) -> str:
    """`1.2 GB`: decimal, as datasheets count."""
    return _scaled(value, ("B", "kB", "MB", "GB", "TB", "PB"))


def seconds(value: float) -> str:
    """`12.3 ms`."""
    if value == 0:
        return "0"
    return f"{value:,.1f} s" if value >= 10 else f"{value * 1e3:.1f} ms" if value >= 1e-4 else f"{value * 1e6:.1f} us"


def _hours(value: float) -> str:
    return (
        f"{value:,.1f} hours" if value >= 1 else f"{60 * value:,.1f} minutes" if value >= 1 / 60 else "under a minute"
    )


def _scaled(value: float, units: Sequence[str]) -> str:
    power = 0
    while abs(value) >= 999.5 and power < len(units) - 1:
        value /= 1000
        power += 1
    decimals = 0 if power == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f} {units[power]}"
