"""From a compiled program to its plan.

Takes: an executable (its modules may be on `meta`: nothing is computed), the graph before the passes, a number of
devices and an accelerator. Gives: `Plan`. Guarantees: FLOPs, parameters and memory are counted on the very graph that
training runs; everything else comes from plan/model.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from m3i_dsl.artifact.summary import parameter_counts
from m3i_dsl.data.reading import readings_of
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.ir.graph import ENCODES, Graph
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.lower.executable import Executable
from m3i_dsl.plan.accelerators import Accelerator
from m3i_dsl.plan.candidates import CandidateSet, candidate_sets
from m3i_dsl.plan.communication import communication_of, observed_in
from m3i_dsl.plan.declared import effect_faults, modules_of
from m3i_dsl.plan.exchanges import Exchange
from m3i_dsl.plan.fake_copy import fake_copy
from m3i_dsl.plan.flops import CallFlops, Role, count_flops
from m3i_dsl.plan.images import augmented, transferred
from m3i_dsl.plan.memory import StepMemory, measure_memory
from m3i_dsl.plan.model import Load, Times, step_times
from m3i_dsl.plan.schema import (
    CandidatePlan,
    ConstantPlan,
    DataPlan,
    EncoderPlan,
    FlopPlan,
    MemoryPlan,
    ParameterPlan,
    Plan,
    TargetPlan,
    TimePlan,
    TrainingPlan,
)
from m3i_dsl.plan.traffic import World, traffic_of
from m3i_dsl.runtime.distributed.wrapping import Sharding
from m3i_dsl.semantics.program import AnyData, EncoderDeclaration, Program, parts_of
from m3i_dsl.semantics.table import row_of
from m3i_dsl.vocabulary.values import steps_of


class WorldFault(ValueError):
    """The batch cannot be divided over so many devices."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a plan is for besides the program. `samples` of each data that was opened, for the length of training;
    `dry_run`: observe what is sent, too.
    """

    world: int
    accelerator: Accelerator
    sharding: Sharding = "none"
    samples: Mapping[str, int] | None = None
    dry_run: bool = False


def plan_of(executable: Executable, plain: Graph, categories: Mapping[str, int], setting: Setting) -> Plan:
    """The plan of a program. `categories` is the number of categories by the data's name.

    Raises WorldFault, and of a dry run RecipeError (M3I0403) when a word does not communicate as it says.
    """
    program, world = executable.program, world_of(setting)
    local = local_batch(program, world.size)
    flops = flops_of(executable)
    fake = fake_copy(executable, local)
    memory = measure_memory(fake, program.training, buckets=world.size > 1)
    traffic = traffic_of(
        fake,
        world,
        modules_of(executable.graph, fake.module),
        executable.program.training.optimizer.word.norms(fake.module),
    )
    if setting.dry_run and (faults := list(effect_faults(executable, traffic))):
        raise RecipeError(faults)
    sets = candidate_sets(executable.graph, categories)
    images = _images(program, executable)
    bf16 = program.training.precision == "bf16"
    batch = program.training.batch

    counts = parameter_counts(executable)

    def load(devices: int, exchanges: tuple[Exchange, ...] = ()) -> Load:
        """The same part of a step with candidates of so many devices."""
        whole = local * devices
        return Load(
            flops=sum(call.forward + call.backward for call in flops) * local / batch,
            bf16=bf16,
            trained=memory.gradients // 4,
            averaged=counts.averaged,
            optimizer_state=memory.optimizer,
            exchanges=exchanges,
            logits=sum(candidates.logits(local, whole) for candidates in sets),
            images=images * local,
            transferred=transferred(program, executable.inputs) * local,
            augmented=augmented(program, executable.inputs) * local,
        )

    mine = load(world.size, traffic.exchanges)
    times = step_times(mine, setting.accelerator, world.shards)
    alone = step_times(load(1), setting.accelerator)
    rate = setting.accelerator.value("matmul_bf16" if bf16 else "matmul_fp32")
    training = _training(executable, setting, times)
    return Plan(
        recipe=program.name,
        world=world.size,
        nodes=-(-world.size // int(setting.accelerator.value("node_size"))),
        accelerator=setting.accelerator.name,
        batch=batch,
        local_batch=local,
        precision=program.training.precision,
        targets=tuple(_targets(program)),
        encoders=tuple(_encoders(executable, plain, flops)),
        parameters=ParameterPlan(trained=counts.trained, averaged=counts.averaged, frozen=counts.frozen),
        flops=_flops(flops, batch),
        memory=_memory(executable, memory, sets, setting, local, world.shards),
        candidates=tuple(_candidates(sets, local, batch)),
        communication=communication_of(
            mine.exchanges, world, observed_in(executable, world, local) if setting.dry_run else None
        ),
        time=TimePlan(
            compute=times.compute,
            encoders=times.compute * _share(flops, "encoder"),
            heads=times.compute * _share(flops, "predictor"),
            losses=times.compute * _share(flops, "loss"),
            exposed_communication=times.exposed,
            hidden_communication=times.sync - times.exposed,
            gather=times.gather,
            logits=times.logits,
            augmentation=times.augmentation,
            update=times.update,
            averages=times.averages,
            data=times.data,
            transfer=times.transfer,
            step=times.step,
            samples_per_second=batch / times.step,
            scaling=alone.step / times.step,
            utilization=mine.flops / times.step / rate,
            limit=times.limit,
        ),
        data=DataPlan(
            images_a_sample=images,
            images_per_second=images * batch / times.step,
            megabytes_per_second=images * batch / times.step * setting.accelerator.value("image_bytes") / 1e6,
            cores_per_device=images * local / times.step / setting.accelerator.value("decode_rate"),
        ),
        training=training,
        constants=tuple(
            ConstantPlan(name=name, value=constant.value, unit=constant.unit, source=constant.source)
            for name, constant in setting.accelerator.constants().items()
        ),
        notes=tuple(_notes(executable, setting, images, traffic.filled_up)),
    )


def flops_of(executable: Executable) -> tuple[CallFlops, ...]:
    """The FLOPs of a step of the whole batch, call by call; candidates of a loss are those of the whole batch."""
    return count_flops(fake_copy(executable, executable.program.training.batch))


def flops_per_sample(executable: Executable) -> int:
    """FLOPs of the forward and the backward pass for one sample: what an MFU is made from."""
    total = sum(call.forward + call.backward for call in flops_of(executable))
    return total // executable.program.training.batch


def world_of(setting: Setting) -> World:
    """The processes of a plan. Raises WorldFault for one that `m3ic train` refuses to shard."""
    machine = int(setting.accelerator.value("node_size"))
    if setting.sharding != "none" and setting.world == 1:
        raise WorldFault("weights are sharded over several devices")
    if setting.sharding == "hsdp" and (setting.world % machine or setting.world == machine):
        raise WorldFault(f"`hsdp` shards within each of several nodes of {machine} devices, and this is not a multiple")
    if setting.dry_run and setting.world == 1:
        raise WorldFault("one device sends nothing, so a dry run has nothing to observe")
    return World(setting.world, machine, setting.sharding)


def local_batch(program: Program, world: int) -> int:
    """Samples of each device. Raises WorldFault."""
    batch = program.training.batch
    if batch % world:
        raise WorldFault(f"a batch of {batch} cannot be divided over {world} devices")
    if not program.can_share(world):
        raise WorldFault(f"{batch // world} samples a device, of a batch of {batch}, are no whole {program.unit_name}")
    return batch // world


# --- the parts of the plan --------------------------------------------------------------------------------------------


def _targets(program: Program) -> Iterable[TargetPlan]:
    for objective in program.objectives:
        for target in objective.targets:
            row = row_of(objective, target)
            yield TargetPlan(
                name=f"{objective.name}.{target.name}",
                weight=target.weight,
                input_data=row.input_data,
                target_data=row.target_data,
                input_representation=row.input_representation,
                target_representation=row.target_representation,
                predictor=target.predictor.word.name,
                regularization=row.regularization,
                distribution=target.distribution.word.name,
            )


def _calls(graph: Graph) -> Counter[str]:
    return Counter(str(e.attribute("module")) for e in graph.equations if e.operation in ENCODES)


def _encoders(executable: Executable, plain: Graph, flops: Iterable[CallFlops]) -> Iterable[EncoderPlan]:
    before, after = _calls(plain), _calls(executable.graph)
    forward: Counter[str] = Counter()
    backward: Counter[str] = Counter()
    for call in flops:
        if call.role == "encoder":
            forward[call.name] += call.forward
            backward[call.name] += call.backward
    batch = executable.program.training.batch
    modules = executable.encoders
    for name in sorted(before, key=list(executable.program.encoders).index):
        yield EncoderPlan(
            name=name,
            moves=_moves(executable.program.encoders[name]),
            calls_before=before[name],
            calls_after=after[name],
            parameters=sum(p.numel() for p in modules[name].parameters()) if name in modules else 0,
            forward=forward[name] // batch,
            backward=backward[name] // batch,
        )


def _moves(encoder: EncoderDeclaration) -> Literal["trained", "averaged", "frozen"]:
    return "averaged" if encoder.momentum is not None else "frozen" if encoder.frozen else "trained"


def _share(flops: Sequence[CallFlops], role: Role) -> float:
    """Of all FLOPs of a step, those of one role."""
    all_ = sum(call.forward + call.backward for call in flops)
    return sum(call.forward + call.backward for call in flops if call.role == role) / all_ if all_ else 0.0


def _flops(flops: Iterable[CallFlops], batch: int) -> FlopPlan:
    sums: Counter[str] = Counter()
    for call in flops:
        sums[f"{call.role}_forward"] += call.forward
        sums[f"{call.role}_backward"] += call.backward
    return FlopPlan(**{name: sums[name] // batch for name in FlopPlan.model_fields})


def _memory(
    executable: Executable, memory: StepMemory, sets: Iterable[CandidateSet], setting: Setting, local: int, shards: int
) -> MemoryPlan:
    counts = parameter_counts(executable)
    buffers = sum(buffer.nbytes for buffer in executable.module.buffers())
    copies = setting.accelerator.value("logit_copies")
    batch = local * setting.world
    # Less than none where the larger loss goes in chunks and the smaller one, which was counted, does not.
    more = copies * sum(max(0, found.held(local, batch) - found.held(local, local)) for found in sets)
    parts = {
        "weights": 4 * counts.trained,
        "averages": 4 * counts.averaged,
        "frozen": 4 * counts.frozen,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
    }
    peak = memory.peak - (memory.gradients if setting.world > 1 else 0)
    parts = {name: -(-size // shards) for name, size in parts.items()}
    peak += parts["gradients"] if setting.world > 1 else 0
    resident = parts["weights"] + parts["averages"] + parts["frozen"] + parts["optimizer"] + buffers + memory.batch
    return MemoryPlan(
        **parts,
        buffers=buffers,
        batch=memory.batch,
        activations=memory.activations,
        weight_copies=memory.copies,
        more_candidates=float(more),
        peak=resident + peak + more,
        capacity=setting.accelerator.value("memory"),
    )


def _candidates(sets: Iterable[CandidateSet], local: int, batch: int) -> Iterable[CandidatePlan]:
    for candidates in sets:
        yield CandidatePlan(
            target=candidates.target,
            candidates=candidates.candidates,
            rows_a_sample=candidates.rows,
            rows=candidates.choices(local),
            columns=candidates.columns(batch),
            directions=candidates.directions,
            logits=candidates.logits(local, batch),
            held=candidates.held(local, batch),
            queue=candidates.queue_bytes,
        )


def _viewed(program: Program, executable: Executable) -> list[AnyData]:
    return [program.views[i.view].data for i in executable.inputs if isinstance(i, ViewInput)]


def _images(program: Program, executable: Executable) -> int:
    """Images decoded for each sample, rounded up: those of each data whose views a step reads, unless it lies in memory
    decoded.
    """
    viewed = {view.name: view for view in _viewed(program, executable)}.values()
    parts = [
        Fraction(rows, program.training.batch)
        for data in viewed
        for source, rows in parts_of(data, program.training.batch)
        if not source.source.word.in_memory
    ]
    return math.ceil(sum(parts))


def _training(executable: Executable, setting: Setting, times: Times) -> TrainingPlan:
    program = executable.program
    length, batch = program.training.length, program.training.batch
    parts = {reading.source: reading.batch for reading in readings_of(program, executable.inputs)}
    known = setting.samples or {}
    if length.unit == "epochs" and not parts.keys() <= known.keys():
        return TrainingPlan(steps=None, hours=None, device_hours=None)
    # An epoch ends when every source has been seen: see data/stream.py.
    epoch = max((known.get(name, 0) // rows for name, rows in parts.items()), default=0)
    steps = steps_of(length, steps_per_epoch=epoch, batch=batch)
    hours = steps * times.step / 3600
    return TrainingPlan(steps=steps, hours=hours, device_hours=hours * setting.world)


def _notes(executable: Executable, setting: Setting, images: int, filled_up: float) -> Iterable[str]:
    program = executable.program
    if filled_up > 1.25:
        yield (
            f"cut evenly into so many parts, weights are {filled_up:.1f} times as large: "
            "use `hsdp`, or a width that the number of parts divides"
        )
    if images == 0:
        yield "the data comes decoded with the installation: reading it takes no time in this plan"
    if program.training.precision == "fp32" and setting.accelerator.name != "cpu":
        yield "the recipe computes in fp32; `precision bf16` in `train` uses the matrix units"
    if program.training.length.unit == "epochs" and not setting.samples:
        yield "the data was not opened, so the number of steps is not known"
