"""The plan as a document: what `m3ic plan --json` prints.

Takes: nothing. Gives: the pydantic models. Guarantees: unknown or mistyped keys are refused; bytes and FLOPs are whole
numbers that were counted, times and rates are floats that were modelled; the text of a plan reads back as the plan.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 2

Counted = int
"""Counted from shapes: exact for the graph that runs."""

Modelled = float
"""From the model of plan/model.py and its constants."""


class Model(BaseModel):
    """Base of everything in a plan."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)


class TargetPlan(Model):
    """One row of the recipe. Cells as in `m3ic table`."""

    name: str
    weight: float
    input_data: str
    target_data: str
    input_representation: str
    target_representation: str
    predictor: str
    regularization: str
    distribution: str


class EncoderPlan(Model):
    """Calls a step, before and after the passes, and FLOPs a sample of an encoder with its projector."""

    name: str
    moves: Literal["trained", "averaged", "frozen"]
    calls_before: Counted
    calls_after: Counted
    parameters: Counted
    forward: Counted
    backward: Counted


class ParameterPlan(Model):
    """Numbers of scalars."""

    trained: Counted
    averaged: Counted
    frozen: Counted


class FlopPlan(Model):
    """FLOPs a sample; a multiply-add is two. Without what is computed twice to save memory in attention."""

    encoder_forward: Counted
    encoder_backward: Counted
    predictor_forward: Counted
    predictor_backward: Counted
    loss_forward: Counted
    loss_backward: Counted

    @property
    def forward(self) -> int:
        return self.encoder_forward + self.predictor_forward + self.loss_forward

    @property
    def backward(self) -> int:
        return self.encoder_backward + self.predictor_backward + self.loss_backward

    @property
    def total(self) -> int:
        return self.forward + self.backward


class MemoryPlan(Model):
    """Bytes on one device. `peak` is the most at a time and not the sum: activations go while gradients come."""

    weights: Counted
    averages: Counted
    frozen: Counted
    buffers: Counted
    gradients: Counted
    optimizer: Counted
    batch: Counted
    activations: Counted
    weight_copies: Counted
    more_candidates: Modelled
    """What candidates of other devices add to the activations."""
    peak: Modelled
    capacity: Modelled


class CandidatePlan(Model):
    """One contrastive loss; bytes on one device."""

    target: str
    candidates: str
    rows_a_sample: Counted
    rows: Counted
    columns: Counted
    directions: Counted
    logits: Counted
    held: Counted
    queue: Counted


class TrafficPlan(Model):
    """Collectives of a step, and the bytes that each device receives in them; `observed_*` by a dry run.

    None where there was no dry run.
    """

    purpose: Literal["parameters", "gradients", "candidates", "statistics"]
    operation: Literal["all-gather", "reduce-scatter", "all-reduce"]
    collectives: Counted
    received: Modelled
    observed_collectives: Counted | None = None
    observed_received: Modelled | None = None

    @property
    def difference(self) -> float | None:
        """Of the bytes that were observed, from those that were not: 0.02 is 2% more."""
        if self.observed_received is None:
            return None
        if self.received == 0:
            return 0.0 if self.observed_received == 0 else float("inf")
        return self.observed_received / self.received - 1


class CommunicationPlan(Model):
    """What devices send each other in a step. `shard` is that of `m3ic train`."""

    shard: Literal["none", "fsdp", "hsdp"]
    dry_run: bool
    traffic: tuple[TrafficPlan, ...]

    def received(self, *purposes: str) -> float:
        """Bytes that each device receives for these purposes."""
        return sum(traffic.received for traffic in self.traffic if traffic.purpose in purposes)


class TimePlan(Model):
    """Seconds of a step."""

    compute: Modelled
    encoders: Modelled
    """Of `compute`, as `heads` (predictors) and `losses` are: by their FLOPs."""
    heads: Modelled
    losses: Modelled
    exposed_communication: Modelled
    hidden_communication: Modelled
    gather: Modelled
    logits: Modelled
    augmentation: Modelled
    update: Modelled
    averages: Modelled
    """Of `update`."""
    data: Modelled
    """Decoding, beside the device, as `transfer` is: the copy of images to it."""
    transfer: Modelled
    step: Modelled
    samples_per_second: Modelled
    scaling: Modelled
    """Samples/s over `world` times that of one device with the same batch a device."""
    utilization: Modelled
    """Share of the matrix rate that the FLOPs of a step are."""
    limit: Literal["compute", "memory bandwidth", "communication", "data"]


class DataPlan(Model):
    """What the step asks of storage and processor, over all devices."""

    images_a_sample: Counted
    images_per_second: Modelled
    megabytes_per_second: Modelled
    cores_per_device: Modelled


class TrainingPlan(Model):
    """The whole training. None where it takes the number of samples and the data was not opened."""

    steps: int | None
    hours: Modelled | None
    device_hours: Modelled | None


class ConstantPlan(Model):
    """A constant of the model."""

    name: str
    value: float
    unit: str
    source: str


class Plan(Model):
    """Everything that `m3ic plan` knows of a recipe."""

    schema_version: int = SCHEMA_VERSION
    recipe: str
    world: int
    nodes: int
    accelerator: str
    batch: int
    local_batch: int
    precision: Literal["fp32", "bf16"]
    targets: tuple[TargetPlan, ...]
    encoders: tuple[EncoderPlan, ...]
    parameters: ParameterPlan
    flops: FlopPlan
    memory: MemoryPlan
    candidates: tuple[CandidatePlan, ...]
    communication: CommunicationPlan
    time: TimePlan
    data: DataPlan
    training: TrainingPlan
    constants: tuple[ConstantPlan, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """The plan as JSON."""
        return self.model_dump_json(indent=2) + "\n"
