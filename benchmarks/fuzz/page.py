"""The outcome as a Markdown page.

Takes: how the cases of each kind have ended. Gives: benchmarks/RESULTS_FUZZ.md. Guarantees: every finding is on it,
with the command that makes it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.fuzz.bounds import MEMORY, SECONDS
from benchmarks.fuzz.kind import COUNTED, EQUAL, NOTICED, OTHER, REFUSED
from benchmarks.fuzz.process import Ended
from benchmarks.speed.machine import machine, versions

WAYS = {
    REFUSED: "a coded message says why nothing is read",
    COUNTED: "some samples or files are left out and named, the others are as before",
    NOTICED: "something else is read, and the fingerprint that a compiled recipe keeps is another one",
    OTHER: "it is another good input, and is read as that",
    EQUAL: "what is read is what was read before",
}


def page(found: Sequence[Ended], command: str, seed: int) -> str:
    """All of it."""
    lines = [
        "# Fuzz",
        "",
        "Inputs that are changed at random: bits, bytes, words, lines, values of JSON, cut off, doubled, spliced.",
        "Written by the command below; do not edit.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; {machine()}; {versions()}.",
        "",
        "```sh",
        command,
        "```",
        "",
        f"| kind | what is changed | cases | {' | '.join(WAYS)} | findings | seconds |",
        f"| --- | --- | ---: | {'---: | ' * len(WAYS)}---: | ---: |",
    ]
    for ended in found:
        ways = " | ".join(f"{ended.ways[way]:,}" for way in WAYS)
        findings = f"**{len(ended.findings)}**" if ended.findings else "0"
        lines.append(f"| {ended.kind} | {ended.what} | {ended.count:,} | {ways} | {findings} | {ended.seconds:.0f} |")
    lines += ["", *(f"- *{way}*: {meaning}." for way, meaning in WAYS.items()), ""]
    lines += [
        "A finding is anything else: an exception or an internal error (M3I09xx), a sample that is another one or gone",
        f"without a word, more than {SECONDS:g} s of a processor or {MEMORY >> 20} MiB of memory for a case,",
        "or a process that dies or hangs.",
    ]
    for ended in found:
        if ended.findings:
            lines += ["", f"## Findings: {ended.kind}", ""]
        for finding in ended.findings:
            lines += [
                f"- {finding.text}",
                f"  `python -m benchmarks.fuzz {ended.kind} --seed {seed} --only {finding.number}`",
            ]
    return "\n".join(lines) + "\n"
