"""`m3ic train --nproc-per-node N`: torchrun's agent around N processes of the same command on this machine.

Takes: the words of the command and what torchrun is to do. Gives: the exit code that one process would give.
Guarantees: a rank that dies is started again with all others, and they continue at the last checkpoint; a fault that
would only come again is told once and ends the run; signals are passed on once, and what they stopped can be continued.

torchrun's own exit code says less, it would start again what has stopped on purpose, and a second signal would break
its cleaning up. So rank 0 leaves a note of how the run ended, which processes that were started again read first, and
the agent runs in a thread, where it leaves signals alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from m3i_dsl.runtime.faults import OTHER_RANK, Notice
from m3i_dsl.runtime.signals import EXIT_INTERRUPTED, EXIT_TRY_AGAIN

FOLDER = "M3IC_LAUNCH"
"""The environment variable that names the folder of the note and of the processes' numbers."""

_LAUNCHER = "launcher"
"""The file in it with the number of the process that launches."""

_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process is sent when its parent ends. Otherwise it would train on, and hold the run.
"""

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


def launch(words: Sequence[str], processes: int, *, restarts: int, grace: int, last_word: Callable[[], str]) -> int:
    """Runs `python -m m3i_dsl.train WORDS` as `processes` ranks and returns its exit code.

    `restarts` is how often they are started again, `grace` how many seconds they have to save after a signal.
    `last_word` says how to go on when the processes have not come to it.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # The agent's log repeats what the processes say themselves.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    flags = ["--standalone", f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
    settings = torchrun.parse_args([*flags, "--module", "m3i_dsl.train"])
    settings.training_script_args = list(words)  # by hand: its parser would take ours for its own
    failure: list[str] = []

    def agent() -> None:
        try:
            torchrun.run(settings)
        except ChildFailedError as problem:
            rank, first = problem.get_first_failure()
            failure.append(f"rank {rank} ended with {_ending(first.exitcode)}, after {restarts} restarts")

    with tempfile.TemporaryDirectory(prefix="m3ic-") as folder:
        os.environ[FOLDER] = folder
        (Path(folder) / _LAUNCHER).write_text(str(os.getpid()))
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        thread = threading.Thread(target=agent, name="torchrun")
        forwarding = _Forwarding(Path(folder), grace)
        forwarding.until_done(thread)
        code = outcome()
    if code is None:
        how = failure[0] if failure else "the run ended without a word"
        print(Notice(OTHER_RANK, how).text("error"), file=sys.stderr)
    if code is None or forwarding.ended:
        print(last_word(), file=sys.stderr)
    return 1 if code is None else code


class _Forwarding:
    """Passes the first signal on to all processes; ends those that have not saved when their time is over."""

    def __init__(self, folder: Path, grace: int) -> None:
        self._folder, self._grace = folder, grace
        self._signal: signal.Signals | None = None
        self._until = 0.0
        self._told: set[int] = set()
        self.ended = False
        """Whether processes were ended that had not stopped by themselves."""

    def until_done(self, thread: threading.Thread) -> None:
        before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        try:
            thread.start()
            while thread.is_alive():
                thread.join(0.2)
                if self._signal is None:
                    continue
                self._pass_on(self._signal)
                if time.monotonic() > self._until:
                    self._give_up(self._signal)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self._signal is None:
            self._signal = signal.Signals(number)
            self._until = time.monotonic() + self._grace

    def _pass_on(self, by: signal.Signals) -> None:
        """To each process once, when all listen. Before that none has computed anything: they are ended at once."""
        if self._read("process") != self._read("began"):
            self._end(EXIT_INTERRUPTED if by is signal.SIGINT else EXIT_TRY_AGAIN)
            return
        for process in self._read("process") - self._told:
            self._told.add(process)
            _send(process, signal.SIGTERM if by is signal.SIGHUP else by)

    def _give_up(self, by: signal.Signals) -> None:
        print(f"processes have not saved within {self._grace} s of {by.name}: ending them", file=sys.stderr)
        self._end(128 + by)

    def _end(self, code: int) -> None:
        self.ended = True
        note_outcome(code)
        self._until = float("inf")
        for process in self._read("process"):
            _send(process, signal.SIGKILL)

    def _read(self, what: str) -> set[int]:
        return {int(name.read_text() or 0) for name in self._folder.glob(f"{what}-*")} - {0}


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def has_reader() -> bool:
    """Whether `launch` has started this process and will read how the run ended."""
    return FOLDER in os.environ


def enrol(rank: int) -> None:
    """Makes this process one that signals are passed on to, and that saves and stops if its launcher is killed."""
    if has_reader() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int((Path(os.environ[FOLDER]) / _LAUNCHER).read_text()):
            signal.raise_signal(signal.SIGTERM)  # it was killed before that: the store of its agent is gone, too
    _sign("process", rank)


def began(rank: int) -> None:
    """From now on this process listens to signals by itself."""
    _sign("began", rank)


def _sign(what: str, rank: int) -> None:
    if has_reader():
        (Path(os.environ[FOLDER]) / f"{what}-{rank}").write_text(str(os.getpid()))


def outcome() -> int | None:
    """The exit code that was noted for this run, or None while it has none. Outside of `launch` there is no note."""
    if not has_reader():
        return None
    note = Path(os.environ[FOLDER]) / "outcome.json"
    return int(json.loads(note.read_text(encoding="utf-8"))["code"]) if note.exists() else None


def note_outcome(code: int) -> bool:
    """Notes how the run ended, for good. Returns whether somebody reads it."""
    if not has_reader():
        return False
    note = Path(os.environ[FOLDER]) / "outcome.json"
    fresh = note.with_name(f"{note.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"code": code}), encoding="utf-8")
    os.replace(fresh, note)
    return True


def _ending(exit_code: int) -> str:
    return f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
