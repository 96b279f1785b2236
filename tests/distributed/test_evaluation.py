"""An evaluation that all processes make: the bytes of one process, whatever their number."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from m3i_dsl.data.evaluation import LabelledSource
from m3i_dsl.evaluation import kept, linear_probe
from m3i_dsl.evaluation.linear import Problem
from m3i_dsl.evaluation.linear_probe import Rows, StreamedProblem
from m3i_dsl.evaluation.measure import Evaluation
from m3i_dsl.evaluation.streamed import StreamedSplit
from m3i_dsl.evaluation.subject import EncoderSubject
from m3i_dsl.runtime.distributed.agreement import Elsewhere
from m3i_dsl.runtime.distributed.group import Processes
from m3i_dsl.runtime.distributed.team import ProcessTeam
from m3i_dsl.runtime.distributed.watchdog import Watchdog
from m3i_dsl.runtime.faults import TrainingFault
from m3i_dsl.runtime.signals import StopRequest
from m3i_dsl.vocabulary.evaluators import Knn, LinearProbe, ZeroShot
from m3i_dsl.vocabulary.kinds import Evaluator, Measure, Result, Splits, Subject, Team
from m3i_dsl.vocabulary.sources import Embedded, Folder
from m3i_dsl.vocabulary.transforms import Normalize
from tests.data.programs import digits, image_folder
from tests.distributed.processes import ONE_WORKER, run
from tests.evaluation.tiny import Tokens

pytestmark = ONE_WORKER


class Texts:
    def embed_images(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, 60:66]

    def embed_texts(self, texts: list[str]) -> Tensor:
        return torch.stack([torch.randn(6, generator=torch.Generator().manual_seed(ord(t[-1]))) for t in texts])


@dataclass(frozen=True, slots=True)
class Spread(Evaluator):
    """As one writes it who knows of one process and of whole tensors only."""

    name: ClassVar[str] = "spread"
    needs: ClassVar[frozenset[str]] = frozenset()

    def measure(self, subject: Subject, splits: Splits) -> Result:
        assert dist.get_rank() == 0 and splits.team.size == 1
        seen, unseen = (subject.features(split, "mean") for split in (splits.train, splits.test))
        pixels = float(splits.test.images.mean())
        value = math.log(float(unseen.var(dim=0).sum() / seen.var(dim=0).sum())) + pixels
        return Result(
            Measure("spread"), value, len(splits.test.labels), details={"first": splits.train.labels[:3].tolist()}
        )


EVALUATORS = (Knn(k=5), LinearProbe(c=(0.001, 0.1)), ZeroShot("a {}"), Spread())


def here(*, lockstep: bool = False) -> ProcessTeam:
    size = dist.get_world_size()
    control: Any = dist.group.WORLD if size > 1 else None
    return ProcessTeam(Processes(torch.device("cpu"), dist.get_rank(), size, size, control=control), lockstep=lockstep)


def splits_of(team: Team, folder: Path | None = None) -> Splits:
    source = (
        Embedded("digits").open(Path())
        if folder is None
        else Folder(str(folder / "train"), test=str(folder / "test")).open(folder)
    )

    def split(name: str, data: Any) -> StreamedSplit:
        labelled = LabelledSource(data, size=(8, 8), normalize=Normalize())
        return StreamedSplit(name, labelled, program=digits())

    names = tuple("0123456789") if folder is None else ("a", "b")
    return Splits(split("training", source), split("test", source.evaluation()), names, team=team)


def measured(streamed: bool, folder: Path | None = None) -> dict[str, Any]:
    """What each evaluator gives, to the last bit."""
    torch.set_num_threads(1)
    before = linear_probe.IN_MEMORY, kept.IN_MEMORY
    if streamed:
        linear_probe.IN_MEMORY, kept.IN_MEMORY = {"cpu": 0}, 2000
    try:
        team = here()
        evaluation = Evaluation(splits_of(team, folder), lambda: EncoderSubject(Tokens(), 1, team=team))
        subject = EncoderSubject(Tokens(width=8), 1, Texts(), team=team)
        found: dict[str, Any] = {"left out": [left_out.text() for left_out in evaluation.left_out]}
        for evaluator in EVALUATORS:
            result = evaluation.result(evaluator, subject)
            samples = None if result.samples is None else result.samples.numpy().tobytes()
            found[evaluator.name] = (result.value, result.n, samples, result.by_category, dict(result.details))
        found["left out"] = [left_out.text() for left_out in evaluation.left_out]
        found["features"] = subject.features(evaluation.splits.test, "class").numpy().tobytes()
        return found
    finally:
        linear_probe.IN_MEMORY, kept.IN_MEMORY = before


@pytest.mark.parametrize("streamed", [False, True], ids=["in memory", "streamed"])
def test_results_are_those_of_one_process(streamed: bool) -> None:
    (alone,) = run(measured, streamed, processes=1)
    assert alone["knn"][0] > 0.5 and alone["linear"][0] > 0.5
    assert alone["linear"][4]["solver"] == ("streamed" if streamed else "scikit-learn")
    for processes in (2, 3):
        assert run(measured, streamed, processes=processes) == [alone] * processes


def test_broken_samples_are_left_out_alike(tmp_path: Path) -> None:
    for part, count in (("train", 40), ("test", 9)):
        root = image_folder(tmp_path / part, {"a": count, "b": 6}, size=(9, 12))
        for broken in ("a/03.png", "b/05.png"):
            (root / broken).write_bytes(b"no image")
    (alone,) = run(measured, False, tmp_path, processes=1)
    assert [text.partition(":")[0] for text in alone["left out"]] == [
        "2 of 46 training samples cannot be read and are left out",
        "2 of 15 test samples cannot be read and are left out",
    ]
    assert alone["knn"][1] == 13
    assert run(measured, False, tmp_path, processes=2) == [alone] * 2


def test_the_streamed_probe_has_the_loss_of_scikit_learn() -> None:
    split = splits_of(here_alone()).train
    own = EncoderSubject(Tokens(width=8), 1).own_features(split, "mean")
    rows, everything = (
        Rows(own, split, here_alone(), torch.device("cpu")),
        torch.ones(len(split.labels), dtype=torch.bool),
    )
    problem = StreamedProblem(rows, everything)
    exact = Problem.prepare(own.whole(here_alone(), split.places()), split.labels)
    for c in (0.001, 1.0):
        theirs, ours = exact.solve(c, "scikit-learn"), problem.solve(c)
        assert ours.converged
        loss = problem.value(ours.weight, ours.bias, c)[0]
        assert loss == pytest.approx(problem.value(theirs.weight @ exact.basis.T, theirs.bias, c)[0], abs=1e-4)


def here_alone() -> ProcessTeam:
    return ProcessTeam(Processes(torch.device("cpu")))


def ended(what: str) -> str:
    """How an evaluation ends that befalls something on rank 1, wherever rank 0 is."""
    team = here()
    encoder = Tokens(width=8)
    forward = encoder.forward

    def struck(images: Tensor) -> Tensor:
        if dist.get_rank() == 1 and what == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        if dist.get_rank() == 1 and what == "fault":
            raise OSError("no space left")
        return forward(images)

    encoder.forward = struck
    evaluation = Evaluation(splits_of(team), lambda: EncoderSubject(Tokens(), 1, team=team))

    def action() -> dict[str, Any]:
        return {"a": evaluation.result(Knn(), EncoderSubject(encoder, 1, team=team))}

    with StopRequest(patient=True) as stop, Watchdog(Processes(torch.device("cpu")), 60) as watchdog:
        try:
            return str(team.measured(action, stop, watchdog))
        except (TrainingFault, OSError) as problem:
            return f"{type(problem).__name__}: {problem}"


def test_a_stop_or_a_fault_of_one_ends_the_evaluation_of_all() -> None:
    assert run(ended, "signal") == ["None", "None"]
    assert run(ended, "fault") == ["Elsewhere: rank 1 cannot go on: no space left", "OSError: no space left"]
    assert issubclass(Elsewhere, TrainingFault)


def in_lockstep() -> tuple[int, int]:
    team, encoder = here(lockstep=True), Tokens()
    subject = EncoderSubject(encoder, 1, team=team)
    features = subject.features(splits_of(team).test, "mean")
    return encoder.calls, len(features)


def test_a_sharded_encoder_is_called_equally_often_by_all() -> None:
    assert run(in_lockstep, processes=3) == [(1, 359)] * 3
