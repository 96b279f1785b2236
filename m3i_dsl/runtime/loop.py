"""The training loop.

Takes: a compiled recipe, a stream of batches, a run folder and options. Gives: a trained module, checkpoints, metrics
and an `Outcome`. Guarantees: the data position is the step, so a run that was killed at any moment and resumed
computes the same steps with the same bits (on a CPU); a stop signal is honoured at the next step boundary; a
non-finite step moves no weight and ends the run with the target and the recipe line named.

At the boundary after a step, in this order: log, checkpoint, evaluation. A checkpoint notes that its evaluations are
still due, so that none is lost or made twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from m3i_dsl.collectives import alone
from m3i_dsl.data.batch import Batch as StreamBatch
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.runtime.checkpoints.snapshot import Restored, Snapshot
from m3i_dsl.runtime.checkpoints.store import CheckpointStore
from m3i_dsl.runtime.compiling import compile_blocks, compile_errors, eager
from m3i_dsl.runtime.distributed.agreement import Vote, gathered, together
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.launch import began
from m3i_dsl.runtime.distributed.lost import connected
from m3i_dsl.runtime.distributed.team import ProcessTeam
from m3i_dsl.runtime.distributed.watchdog import Watchdog
from m3i_dsl.runtime.distributed.wrapping import parallel
from m3i_dsl.runtime.ema import MovingAverages
from m3i_dsl.runtime.failure import non_finite
from m3i_dsl.runtime.faults import NO_STEPS, NON_FINITE, Notice, TrainingFault
from m3i_dsl.runtime.guard import Guard, NonFiniteStep
from m3i_dsl.runtime.interfaces import Batch, BatchStream, Display, Plan, TrainingGraph
from m3i_dsl.runtime.kernels import not_deterministic
from m3i_dsl.runtime.learned import Learned
from m3i_dsl.runtime.locate import locate
from m3i_dsl.runtime.memory import out_of_memory
from m3i_dsl.runtime.microbatches import Coupled, check_accumulation, microbatches_of
from m3i_dsl.runtime.monitors import CollapseMonitor
from m3i_dsl.runtime.options import Callback, Outcome, TrainOptions, often_enough
from m3i_dsl.runtime.precision import precision_for
from m3i_dsl.runtime.recomputing import recompute_blocks
from m3i_dsl.runtime.reporting.configuration import configuration_of
from m3i_dsl.runtime.reporting.metrics import recorded_scores
from m3i_dsl.runtime.reporting.reporter import Measured, Reporter
from m3i_dsl.runtime.reporting.resources import name_of
from m3i_dsl.runtime.run_folder import RunFolder, write_json
from m3i_dsl.runtime.scalars import Scalars
from m3i_dsl.runtime.schedule import Every, LearningRate
from m3i_dsl.runtime.signals import StopRequest
from m3i_dsl.runtime.state import seed_random, undisturbed
from m3i_dsl.runtime.step import StepOutput, TrainingStep, can_skip
from m3i_dsl.vocabulary.kinds import Score
from m3i_dsl.vocabulary.values import steps_of

EPOCH_SAVE_SECONDS = 20.0
LONGEST_UNSAVED_SECONDS = 600.0
BROKEN_NAMED = 20

SAVE = 1
STOP = 100
"""What a process may wish at a step boundary: a checkpoint, or to stop for the signal `wish - STOP`."""


class Trainer:
    """One run. `batch_coupled` names the words of the recipe that couple the samples of a batch, for accumulation.
    All processes call each of the `callbacks` at once, as the `team` that they measure in.

    Raises RecipeError (M3I0703, M3I0704) and TrainingFault (M3I0712) before anything is computed.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        stream: BatchStream,
        run: RunFolder,
        options: TrainOptions,
        *,
        callbacks: Sequence[Callback] = (),
        batch_coupled: Sequence[Coupled] | None = None,
        display: Display | None = None,
        processes: Processes | None = None,
        team: ProcessTeam | None = None,
    ) -> None:
        self._processes = Processes(options.device) if processes is None else processes
        self._team = ProcessTeam(self._processes) if team is None else team
        training = graph.program.training
        if options.accumulate > 1:
            if batch_coupled is None:
                raise ValueError("accumulation needs to know which words couple the batch")
            check_accumulation(graph.program, options.accumulate, batch_coupled, self._processes.size)
        self._graph, self._stream, self._run, self._options = graph, stream, run, options
        self._report = Reporter(run, options.reporting, self._processes, options.device, training.batch, display)
        self._team.warn = self._report.warn
        self._total = self._steps(training.length)
        if self._total < 1:
            raise TrainingFault(
                NO_STEPS, "the recipe trains for less than one step", helps=("raise `epochs` or `steps`",)
            )
        self._last = self._total if options.max_steps is None else min(self._total, options.max_steps)
        self._callbacks = [
            (Every(None if every is None else max(1, self._steps(every)), self._total), measure)
            for every, measure in callbacks
        ]
        every = options.checkpoint_every
        self._save_period = None if every is None else max(1, self._steps(every))
        self._store = CheckpointStore(run.checkpoints, options.keep, self._processes)
        self._saved_at = time.monotonic()
        self._monitor = CollapseMonitor()
        self._log_every = options.log_every or often_enough(self._last)
        self._results: dict[str, Score] = {}
        self._broken = 0

        # Everything that moves is made here, once the module is where it will be trained.
        module = graph.module.to(options.device)
        module.train()
        sharded = options.shard != "none"
        options.kernels.apply(module, options.device, sharded=sharded)
        recompute_blocks(module, options.recompute)
        self._compilation = compile_blocks(
            module, options.compile, options.device, local_size=self._processes.local_size
        )
        self._precision = precision_for(training.precision, options.device)
        self._parallel = parallel(
            module,
            graph.averages,
            self._processes,
            options.shard,
            low_precision=options.device.type == "cuda" and self._precision.effective == "bf16",
        )
        self._optimizer = training.optimizer.word.build(module, training.batch)
        self._averages = MovingAverages(graph.averages, self._total, self._steps)
        self._scalars = Scalars(module, self._total, self._steps)
        self._learned = Learned(module, graph.program)
        self._rate = LearningRate(self._steps(training.warmup), self._total, training.schedule.word)
        deferred = options.device.type != "cpu" and can_skip(self._optimizer)
        self._guard = Guard(module, options.device, deferred=deferred, shared=self._processes.size > 1)
        self._vote = Vote(self._processes)
        self._kernels = options.kernels.circumstances(module, options.device, sharded=sharded)
        self._snapshot = Snapshot(module, self._optimizer, run.identity, options.device, self._precision, self._kernels)

    def run(self, *, resume: bool = False) -> Outcome:
        """Trains to the end, to `max_steps`, or to a signal.

        Raises RecipeError (M3I0701), TrainingFault (M3I0702 no checkpoint can be used, M3I0706 full disk, M3I0708,
        M3I0714 out of memory, M3I0715 not to be compiled).
        """
        seed_random(self._graph.program.seed)
        restored = self._resume() if resume else Restored(0, 0, False, ())
        targets = tuple(f"{o.name}.{t.name}" for o in self._graph.program.objectives for t in o.targets)
        with ExitStack() as stack:
            stack.enter_context(self._report)
            stack.enter_context(self._store)
            plan = Plan(
                self._graph.program.name,
                restored.step,
                self._total,
                self._last,
                self._stream.steps_per_epoch,
                self._graph.program.training.batch,
                targets,
                self._processes.size,
                name_of(self._options.device),
                self._processes.restart,
            )
            known = configuration_of(self._graph.program, self._run.identity)
            known |= {f"kernels.{name}": value for name, value in self._kernels.items()}
            together(
                self._processes,
                lambda: self._report.start(plan, keep=restored.metrics_bytes, configuration=known),
            )
            for remark in (self._precision.remark, self._compilation.remark, *restored.remarks):
                if remark is not None:
                    self._report.say(remark)
            self._stop = stack.enter_context(StopRequest(patient=self._processes.size > 1))
            self._watchdog = stack.enter_context(Watchdog(self._processes, self._options.timeout))
            began(self._processes.rank)
            stack.enter_context(connected(self._processes, lambda: self._watchdog.where))
            if restored.evaluations_due:
                self._evaluate(restored.step)
                if self._stop_after_evaluation(restored.step):
                    return self._outcome(restored.step)
            return self._outcome(self._train(restored.step))

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _train(self, first: int) -> int:
        """Returns the number of completed steps."""
        step_once = TrainingStep(
            self._parallel,
            self._optimizer,
            self._averages,
            self._rate,
            self._guard,
            self._precision,
            scalars=self._scalars,
            clip=self._graph.program.training.clip,
            decay=self._graph.program.training.optimizer.word.decay_ramp(),
            microbatches=self._options.accumulate,
        )
        self._saved_at = time.monotonic()
        self._report.throughput.restart()
        done = first
        self._watchdog.at(f"reading the batch of step {done + 1}")
        with closing(self._report.throughput.timed(self._stream.batches(first, self._last))) as batches:
            try:
                for batch in batches:
                    stopping = self._step(step_once, done + 1, batch)
                    done += 1
                    if stopping:
                        break
                    self._watchdog.at(f"reading the batch of step {done + 1}")
            except NonFiniteStep as problem:
                failed = problem.step
            except (RuntimeError, MemoryError) as problem:
                if (fault := out_of_memory(problem, done + 1) or not_deterministic(problem)) is None:
                    raise
                raise fault from problem
            else:
                return done
        self._fail(failed)

    def _step(self, step_once: TrainingStep, done: int, batch: Batch) -> bool:
        """The step that makes `done` of them, and its boundary. Returns whether to stop.

        What it has computed ends with it: the representations of a step would lie beside those of the next one.
        """
        if isinstance(batch, StreamBatch):
            self._skipped(batch)
        self._watchdog.at(f"computing step {done}")
        self._vote.ask(self._wish(done))
        output = self._computed(step_once, done - 1, batch)
        self._watchdog.stepped(f"at the boundary after step {done}")
        return self._boundary(done, output, self._vote.answer(self._wish(done)))

    def _computed(self, step_once: TrainingStep, step: int, batch: Batch) -> StepOutput:
        """The step, compiled if it can be. Raises TrainingFault (M3I0715) if it must be and cannot."""
        if not self._compilation.blocks:
            return step_once(step, batch)
        try:
            return step_once(step, batch)
        except compile_errors() as problem:
            self._report.say(self._compilation.give_up(problem))
            self._guard.rewind(step)
        return step_once(step, batch)

    def _wish(self, done: int) -> int:
        """What this process wants at the boundary after `done` steps."""
        if self._stop.signal is not None:
            return STOP + self._stop.signal
        return SAVE if self._save_due(done) else 0

    def _boundary(self, done: int, output: StepOutput, verdict: int) -> bool:
        """What is due after `done` steps; `verdict` is the strongest wish of all. Returns whether to stop."""
        ending = done == self._last
        self._store.poll()
        if ending or done % self._log_every == 0:
            self._log(done, output)
        evaluating = any(every.due(done) for every, _ in self._callbacks)
        if verdict or ending:
            self._save(done, evaluations_due=evaluating)
        if verdict >= STOP:
            self._stop.adopt(verdict - STOP)
            return True
        if evaluating:
            self._evaluate(done)
            return self._stop_after_evaluation(done)
        return False

    def _stop_after_evaluation(self, done: int) -> bool:
        """Whether a signal came during the evaluation. Then no other step begins, and what was not measured stays due.

        `_evaluate` has cut it short, as a scheduler waits for half a minute and not for an evaluation.
        """
        verdict = self._vote.now(self._wish(done))
        if verdict < STOP:
            return False
        self._stop.adopt(verdict - STOP)
        if not self._store.has(done):
            self._save(done, evaluations_due=True)
        return True

    def _skipped(self, batch: StreamBatch) -> None:
        """Names samples that could not be decoded, the first ones; all are counted."""
        for broken in batch.broken:
            self._broken += 1
            if self._broken <= BROKEN_NAMED:
                self._report.say_here(f"skipped a broken sample of `{broken.data}`: {broken}")
            if self._broken == BROKEN_NAMED:
                self._report.say_here("further broken samples are counted in `metrics.jsonl` only")

    # --- at a boundary ------------------------------------------------------------------------------------------------

    def _log(self, done: int, output: StepOutput) -> None:
        self._guard.poll()
        monitors: dict[str, float] = {}
        notices: list[Notice] = []
        if done % self._options.monitor_every == 0 or done == self._last:
            monitors, notices = self._monitor.observe(output.representations)
        learned = self._learned.values()
        if done > self._rate.warmup:
            notices += self._learned.low(learned)
        self._report.step(
            Measured(
                step=done,
                values=self._named(output.scalars()),
                learning_rate=self._rate.factor(done - 1)
                * max(group["initial_lr"] for group in self._optimizer.param_groups),
                momenta=self._averages.momenta(done - 1),
                broken_samples=self._broken,
                checkpoint_stall=self._store.stalled,
                monitors=monitors,
                learned=learned,
                notices=notices,
            )
        )

    def _named(self, values: Mapping[str, float]) -> dict[str, float]:
        """The weights of an objective's targets, numbered in the graph, under the names of the targets."""
        names = {
            f"weights/{objective.name}.{place}": f"weights/{objective.name}.{target.name}"
            for objective in self._graph.program.objectives
            for place, target in enumerate(objective.targets)
        }
        return {names.get(name, name): value for name, value in values.items()}

    def _evaluate(self, done: int) -> None:
        """All processes measure together; a signal to one of them cuts it short for all."""
        for every, measure in self._callbacks:
            if not every.due(done):
                continue
            action = partial(measure, done)
            with (
                self._report.throughput.paused(),
                self._watchdog.long(f"evaluating after step {done}"),
                undisturbed(self._graph.module, self._options.device),
                eager(),
                alone(),
            ):
                results = self._team.measured(action, self._stop, self._watchdog)
            if results is None:
                return
            self._results |= results
            self._report.evaluated(done, results)

    def _save_due(self, done: int) -> bool:
        if self._save_period is not None:
            return done % self._save_period == 0
        unsaved = time.monotonic() - self._saved_at
        whole_epoch = done % self._stream.steps_per_epoch == 0
        return unsaved > LONGEST_UNSAVED_SECONDS or (whole_epoch and unsaved > EPOCH_SAVE_SECONDS)

    def _save(self, done: int, *, evaluations_due: bool) -> None:
        self._guard.poll()
        files = self._snapshot.files(done, metrics_bytes=self._report.position(), evaluations_due=evaluations_due)
        with self._watchdog.long(f"saving after step {done}"):
            self._store.save(done, files)
        self._saved_at = time.monotonic()

    def _fail(self, step: int) -> NoReturn:
        """Finds out why step `step` was not finite, keeps the state before it, and raises."""
        self._guard.rewind(step)
        self._scalars.set(step)
        self._optimizer.zero_grad(set_to_none=True)
        batch = next(iter(self._stream.batches(step, step + 1)))
        microbatches = microbatches_of(batch, self._options.accumulate)
        with self._precision.context(), eager():
            culprit = locate(
                self._graph.module, microbatches, self._graph.provenance, lambda bad: self._vote.now(bad) > 0
            )
        # Of several ranks, the one that made the number; the others have only been given it.
        found = gathered(self._processes, culprit)
        culprit = next((one for one in found if one.node or one.parameter), culprit)
        self._guard.rewind(step)
        kept: Path | None = self._run.checkpoints / f"step-{step:06d}"
        try:
            if not self._store.has(step):
                files = self._snapshot.files(step, metrics_bytes=self._report.position(), evaluations_due=False)
                self._store.save(step, files)
            self._store.wait()
        except TrainingFault as fault:
            if fault.code != NON_FINITE:
                raise
            kept = None

        def tell() -> NoReturn:
            raise RecipeError([non_finite(self._graph.program, step, culprit, kept)])

        together(self._processes, tell)
        raise AssertionError("unreachable: every process has raised")

    # --- beginning and end --------------------------------------------------------------------------------------------

    def _resume(self) -> Restored:
        checkpoint, damaged = self._store.newest()
        for notice in damaged:
            self._report.warn(notice)
        if checkpoint is None:
            self._report.say("no checkpoint was written yet: starting from step 0")
            return Restored(0, 0, False, ())
        restored = self._snapshot.restore(checkpoint)
        self._store.set_aside_after(checkpoint.step)
        return restored

    def _outcome(self, done: int) -> Outcome:
        with self._watchdog.long(f"writing the checkpoint of step {done}"):
            self._store.wait()
        if done >= self._total and self._stop.signal is None:
            summary = {"schema": 1, "step": done, **recorded_scores(self._results)}
            if self._processes.first:
                write_json(self._run.summary, summary)
            self._report.end(done, "finished", "all steps and evaluations")
            return Outcome("finished", done, self._run.path, results=self._results)
        if self._stop.signal is not None:
            self._report.end(done, "stopped", self._stop.signal.name)
            self._report.say(f"stopped by {self._stop.signal.name} after step {done}; everything is saved")
            return Outcome("stopped", done, self._run.path, self._stop.exit_code, self._results)
        self._report.end(done, "partial", f"`--max-steps {self._options.max_steps}`")
        return Outcome("partial", done, self._run.path, results=self._results)

    def _steps(self, duration: Any) -> int:
        training = self._graph.program.training
        known = {"steps_per_epoch": self._stream.steps_per_epoch, "batch": training.batch}
        total = None if duration is training.length else self._total
        return steps_of(duration, **known, total=total)
