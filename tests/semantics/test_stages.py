"""Stages as programs: each is whole, has what it reads, and draws numbers of its own."""

from __future__ import annotations

import pytest

from m3i_dsl import driver
from m3i_dsl.ir.text import without_places, write
from m3i_dsl.semantics.pipeline import Pipeline, read_in, trained_in
from m3i_dsl.source import SourceFile
from tests.distributed.launched import small
from tests.runtime.staged import RECIPE, STAGES


def stages_of(text: str) -> Pipeline:
    return driver.check_file(SourceFile("staged.m3i", text)).stages()


def test_each_stage_is_a_whole_program_with_what_it_reads() -> None:
    pipeline = stages_of(RECIPE)
    assert pipeline.names == STAGES and pipeline.staged and pipeline.name == "staged"
    assert [sorted(program.encoders) for program in pipeline.stages] == [
        ["image"],
        ["image"],
        ["image", "student", "teacher"],
    ]
    assert [[e.name for e in trained_in(program)] for program in pipeline.stages] == [["image"], ["image"], ["student"]]
    assert [e.name for e in read_in(pipeline.stages[2])] == ["student", "image"]
    for program in pipeline.stages:
        assert [e.evaluator.word.name for e in program.evaluations] == ["knn"]


def test_a_recipe_without_stages_is_a_pipeline_of_one_program_without_a_name() -> None:
    checked = driver.check_file(SourceFile("small.m3i", small(batch=8, length="steps 2")))
    pipeline = checked.stages()
    assert pipeline.stages == (checked.program,) and not pipeline.staged and pipeline.names == ()
    assert driver.resolve(pipeline) == driver.resolve(checked.required()) and "stage" not in driver.resolve(pipeline)


def test_numbers_are_drawn_by_seed_and_name_of_the_stage() -> None:
    seeds = [program.seed for program in stages_of(RECIPE).stages]
    assert len(set(seeds)) == 3 and all(0 <= seed < 2**64 for seed in seeds)
    renamed = stages_of(RECIPE.replace("stage labels", "stage classes"))
    assert [program.seed for program in renamed.stages][::2] == seeds[::2]
    assert renamed.stages[1].seed != seeds[1]
    reseeded = stages_of(RECIPE.replace("    steps ", "    seed 1\n    steps ", 1))
    assert reseeded.stages[0].seed not in seeds and [p.seed for p in reseeded.stages][1:] == seeds[1:]
    one = driver.check_file(SourceFile("small.m3i", small(batch=8, length="steps 2"))).required()
    assert one.seed == one.training.seed == 0


def test_the_canonical_text_is_a_fixed_point_and_gives_the_same_programs() -> None:
    pipeline = stages_of(RECIPE)
    text = driver.resolve(pipeline)
    again = stages_of(text)
    assert driver.resolve(again) == text
    for first, second in zip(pipeline.stages, again.stages, strict=True):
        texts = [without_places(write(driver.graphs(program)[1])) for program in (first, second)]
        assert texts[0] == texts[1]
        assert first.seed == second.seed


def test_the_text_up_to_a_stage_ends_with_it_and_has_only_what_it_needs() -> None:
    pipeline = stages_of(RECIPE)
    first = driver.resolve(pipeline.upto("pixels"))
    assert "stage pixels" in first and "stage labels" not in first and "student" not in first
    assert stages_of(first).stages[-1].seed == pipeline.stages[0].seed
    changed = stages_of(
        RECIPE.replace("representation category embedding", "representation category embedding(size: 8)")
    )
    assert driver.resolve(changed.upto("pixels")) == first
    assert driver.resolve(changed.upto("labels")) != driver.resolve(pipeline.upto("labels"))


def test_an_own_evaluate_comes_after_that_of_all_stages() -> None:
    text = RECIPE.replace("stage labels {", "stage labels {\n  evaluate {\n    linear at end\n  }\n")
    names = [[e.evaluator.word.name for e in program.evaluations] for program in stages_of(text).stages]
    assert names == [["knn"], ["knn", "linear"], ["knn"]]


@pytest.mark.parametrize("arguments", ["start: image", "drop_path: 10%, start: image"])
def test_start_is_written_out(arguments: str) -> None:
    text = RECIPE.replace("heads: 2)\nencoder teacher", f"heads: 2, {arguments})\nencoder teacher")
    pipeline = stages_of(text)
    assert pipeline.stages[2].encoders["student"].start == "image"
    resolved = driver.resolve(pipeline)
    assert ", start: image)" in resolved and driver.resolve(stages_of(resolved)) == resolved


def test_the_canonical_text_has_an_empty_line_before_each_block() -> None:
    assert _blocks(RECIPE) == "m3i data view encoder" + 3 * " stage target weighting train evaluate"
    one = small(batch=8, length="steps 2")
    start, end = one.index("objective"), one.index("train {")
    two = one[:end] + one[start:end].replace("objective ", "objective second_", 1) + one[end:]
    assert _blocks(two) == "m3i data view encoder" + 2 * " objective target weighting" + " train"


def _blocks(text: str) -> str:
    """The first word of each block."""
    return " ".join(block.split()[0] for block in driver.resolve(stages_of(text)).split("\n\n"))


def test_what_another_encoder_starts_from_is_read() -> None:
    started = RECIPE.replace("heads: 2)\nencoder teacher", "heads: 2, start: image)\nencoder teacher")
    started = started.replace("dense feature of teacher", "dense pixels").replace("stop gradient", "none")
    started = started.replace("encoder teacher = frozen of image\n", "")
    last = stages_of(started).stages[-1]
    assert [e.name for e in read_in(last)] == ["student", "image"]


def test_an_encoder_that_nothing_uses_may_start_from_anything() -> None:
    text = small(batch=8, length="steps 2")
    line = next(line for line in text.splitlines() if line.startswith("encoder image"))
    unused = line.replace("encoder image", "encoder unused").removesuffix(")") + ", start: image)"
    found = driver.check_file(SourceFile("small.m3i", text.replace(line, f"{line}\n{unused}"))).diagnostics
    assert [d.code for d in found] == ["M3I0806"]
