"""`m3ic train --nproc-per-node N`: torchrun's agent around N processes of the same command on this machine.

Takes: the words of the command and what torchrun is to do. Gives: the exit code that one process would give.
Guarantees: a rank that dies is started again with all others, and they continue at the last checkpoint; a fault that
would only come again is told once and ends the run; signals are passed on, and what they stopped can be continued.

torchrun's own exit code says less, and it would start again what has stopped on purpose. So rank 0 leaves a note of how
the run ended, which processes that were started again read first.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

OUTCOME = "M3IC_OUTCOME"
"""The environment variable that names the file of the note."""

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


def launch(words: Sequence[str], processes: int, *, restarts: int, grace: int) -> int:
    """Runs `python -m m3i_dsl.train WORDS` as `processes` ranks and returns its exit code.

    `restarts` is how often they are started again, `grace` how many seconds they have to save after a signal.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # The agent's log repeats what the processes say themselves.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    with tempfile.TemporaryDirectory(prefix="m3ic-") as folder:
        note = Path(folder) / "outcome.json"
        os.environ[OUTCOME] = str(note)
        os.environ.setdefault("OMP_NUM_THREADS", threads)
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(grace))
        flags = ["--standalone", f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
        flags += [f"--signals-to-handle={SIGNALS}", "--module", "m3i_dsl.train"]
        failure: str | None = None
        try:
            settings = torchrun.parse_args(flags)
            settings.training_script_args = list(words)  # by hand: its parser would take ours for its own
            torchrun.run(settings)
        except ChildFailedError as problem:
            rank, first = problem.get_first_failure()
            failure = f"rank {rank} ended with {_ending(first.exitcode)}"
        except SignalException:
            pass
        code = outcome(note)
    if code is not None:
        return code
    again = f", after {restarts} restarts" if restarts else ""
    print(f"error[M3I0731]: {failure or 'the run was stopped before it could save'}{again}", file=sys.stderr)
    print("  = help: continue at the last checkpoint with `m3ic train --resume`", file=sys.stderr)
    return 1


def outcome(note: Path | None = None) -> int | None:
    """The exit code that was noted for this run, or None while it has none. Outside of `launch` there is no note."""
    if note is None:
        if not has_reader():
            return None
        note = Path(os.environ[OUTCOME])
    return int(json.loads(note.read_text(encoding="utf-8"))["code"]) if note.exists() else None


def has_reader() -> bool:
    """Whether `launch` has started this process and will read how the run ended."""
    return OUTCOME in os.environ


def note_outcome(code: int) -> bool:
    """Notes how the run ended, for good. Returns whether somebody reads it."""
    if not has_reader():
        return False
    note = Path(os.environ[OUTCOME])
    fresh = note.with_name(f"{note.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"code": code}), encoding="utf-8")
    os.replace(fresh, note)
    return True


def _ending(exit_code: int) -> str:
    import signal

    return f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
