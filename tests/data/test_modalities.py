"""What a field may be: the modalities of the language, and one from outside, from its source to the graph's inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from m3i_dsl.data.reading import fields_needed
from m3i_dsl.data.stream import Stream
from m3i_dsl.diagnostics import RecipeError
from m3i_dsl.ir.build_parts import PartsBuilder
from m3i_dsl.ir.graph import Graph, Type
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.ir.text import read, write
from m3i_dsl.ir.trace import Trace, place_of
from m3i_dsl.semantics.program import AnyData, EncoderDeclaration, Program
from m3i_dsl.vocabulary import modalities
from m3i_dsl.vocabulary.encoders.transformer import Transformer
from m3i_dsl.vocabulary.kinds import (
    BrokenSample,
    Dataset,
    Encoder,
    Modality,
    PlainModality,
    Sample,
    Source,
    SourceDescription,
    Storage,
    Unreadable,
)
from m3i_dsl.vocabulary.modalities import Category, Image, Text
from m3i_dsl.vocabulary.registry import words
from m3i_dsl.vocabulary.sources import Embedded
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument
from tests.data.programs import SPAN, placed, program
from tests.data.test_mixture import mixture_of

DAMAGED = 7
"""The sample whose attributes are too few."""


@dataclass(frozen=True, slots=True)
class Vector(PlainModality):
    """So many numbers of each sample, such as its attributes."""

    name = "vector"
    singular = "a vector"
    plural = "vectors"
    dtype = "f32"

    width: Count = argument(doc="how many numbers", minimum=1)

    def decode(self, stored: Any, storage: Storage) -> NDArray[np.float32]:
        if len(stored) != self.width:
            raise Unreadable(f"has {len(stored)} numbers, not {self.width}")
        return np.array(stored, dtype=np.float32)

    def dimensions(self, by: Encoder | None) -> tuple[int, ...]:
        return (self.width,)

    def collate(self, values: Sequence[NDArray[np.float32]], by: Encoder | None, base: Path) -> NDArray[np.float32]:
        return np.stack(values)

    def examples(self, rows: int, number: int) -> list[NDArray[np.float32]]:
        return list(np.random.default_rng(number).random((rows, self.width), dtype=np.float32))


def stored(sample: int) -> list[float]:
    """The attributes of a sample as they are stored."""
    return [float(sample), sample / 2, -1.0][: 2 if sample == DAMAGED else 3]


class AttributedDigits(Dataset):
    """The embedded digits, with attributes."""

    def __init__(self, modality: Vector) -> None:
        self.digits, self.modality = Embedded("digits").open(Path()), modality

    def __len__(self) -> int:
        return 60

    def read(self, index: int, fields: frozenset[str]) -> Sample:
        sample = dict(self.digits.read(index, fields))
        if "attributes" in fields:
            try:
                sample["attributes"] = self.modality.decode(stored(index), Storage())
            except Unreadable as error:
                raise BrokenSample(f"digit {index}", f"its vector {error}") from error
        return sample

    def image_size(self) -> tuple[int, int] | None:
        return self.digits.image_size()


@dataclass(frozen=True, slots=True)
class Attributed(Source):
    """The embedded digits, with a vector of attributes for each."""

    name = "attributed"

    declared: Count = argument(3, doc="how many attributes it says that it has")

    def fields(self) -> Mapping[str, Modality]:
        return {"image": Image(), "category": Category(), "attributes": Vector(self.declared)}

    def describe(self, base: Path) -> SourceDescription:
        raise NotImplementedError

    def open(self, base: Path) -> Dataset:
        return AttributedDigits(Vector(3))


@pytest.fixture(autouse=True)
def vector_is_a_word(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(modalities, "WORDS", (*modalities.WORDS, Vector))
        words.cache_clear()
        yield
    words.cache_clear()


def graph_of(data: AnyData, *fields: str, by: EncoderDeclaration | None = None) -> Graph:
    """A graph that reads fields and nothing else."""
    trace = Trace(place_of(SPAN))
    for field in fields:
        PartsBuilder(trace).field(data, field, by)
    return Graph("test", (), tuple(trace.inputs.values()), (), ())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_modality_from_outside_goes_from_its_source_to_the_graph(workers: int) -> None:
    of = program({"digits": Attributed()}, 12)
    graph = graph_of(of.data["digits"], "attributes", "category")
    assert [input_.value.type for input_ in graph.inputs] == [Type("f32", ("B", 3)), Type("i64", ("B",))]
    inputs = (*(input_.source for input_ in graph.inputs), ViewInput("x1", "view1"))
    assert fields_needed(of, inputs) == {"digits": {"attributes", "category", "image"}}
    stream = Stream(of, inputs, base=Path(), workers=workers)
    digits = Embedded("digits").open(Path())
    for batch in stream.batches(0, 5):
        expected = [stored(int(sample)) for sample in batch.samples]
        assert batch["digits_attributes"].tolist() == expected
        assert batch["digits_attributes"].dtype == torch.float32
        labels = [digits.read(int(sample), frozenset({"category"}))["category"] for sample in batch.samples]
        assert batch["digits_category"].tolist() == labels
    assert [str(broken) for broken in stream.broken.first] == ["digit 7: its vector has 2 numbers, not 3"]


def test_in_a_mixture_it_has_the_rows_of_the_sources_that_have_it() -> None:
    of = mixture_of(program({"with": Attributed(), "without": Embedded("digits")}, 12), Fraction(1, 3), Fraction(2, 3))
    graph = graph_of(of.mixtures["all"], "attributes")
    (input_,) = graph.inputs
    assert input_.value.type == Type("f32", ("B/3", 3))
    batch = Stream(of, (input_.source, ViewInput("x1", "view1")), base=Path()).batch_at(2)
    own = [int(sample) for sample in batch.samples if sample < 60]
    assert len(own) == 4 and batch["all_attributes"].tolist() == [stored(sample) for sample in own]
    assert len(batch["x1"]) == 12


def test_the_text_of_a_graph_has_the_modality_with_its_arguments() -> None:
    of = program({"digits": Attributed()}, 12)
    text = write(graph_of(of.data["digits"], "attributes"))
    line = "input %digits_attributes: f32[B, 3] = field(data: digits, field: attributes, modality: vector(width: 3))"
    assert line in text
    assert read(text) == graph_of(of.data["digits"], "attributes")
    for pattern, instead, message in (
        (r"vector\(width: 3\)", "image", "image is no input by itself"),
        (r", modality: vector\(width: 3\)", "", "an input of a field has `data`, `field`, `modality`"),
    ):
        with pytest.raises(RecipeError) as raised:
            read(re.sub(pattern, instead, text))
        (found,) = raised.value.diagnostics
        assert found.code == "M3I0401" and message in found.message


def test_values_of_another_form_than_the_graph_was_built_for_are_a_fault_of_the_source() -> None:
    of = program({"digits": Attributed(declared=4)}, 12)
    (input_,) = graph_of(of.data["digits"], "attributes").inputs
    with pytest.raises(RecipeError, match=r"M3I0501: `vector` made torch.float32 \[12, 3\] of field `attributes`"):
        Stream(of, (input_.source,), base=Path()).batch_at(0)


def test_a_source_that_leaves_a_field_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: AttributedDigits, index: int, fields: frozenset[str]) -> Sample:
        return self.digits.read(index, fields)

    monkeypatch.setattr(AttributedDigits, "read", forgetful)
    of = program({"digits": Attributed()}, 12)
    (input_,) = graph_of(of.data["digits"], "attributes").inputs
    with pytest.raises(RecipeError, match=r"M3I0501: sample [0-9]+ of data `digits` was read without `attributes`"):
        Stream(of, (input_.source,), base=Path()).batch_at(0)


def captioned(*encoders: EncoderDeclaration) -> tuple[Program, Graph]:
    of = program({"digits": Embedded("digits")}, 12)
    of = replace(of, encoders={encoder.name: encoder for encoder in encoders})
    trace = Trace(place_of(SPAN))
    parts = PartsBuilder(trace)
    for encoder in encoders:
        parts.field(of.data["digits"], "text", encoder)
    return of, Graph("test", (), tuple(trace.inputs.values()), (), ())


def test_a_text_is_tokenised_by_each_encoder_that_reads_it_in_a_way_of_its_own() -> None:
    words_, brief = (
        EncoderDeclaration(name, placed(Transformer(context=context)), None, None, False, None, SPAN)
        for name, context in (("words", 48), ("brief", 8))
    )
    average = replace(words_, name="average", of="words")
    of, graph = captioned(words_, average, brief)
    assert [input_.value.name for input_ in graph.inputs] == ["digits_text", "digits_text_brief"]
    batch = Stream(of, [input_.source for input_ in graph.inputs], base=Path()).batch_at(0)
    assert batch["digits_text"].shape == (12, 48) and batch["digits_text_brief"].shape == (12, 8)


@pytest.mark.parametrize("modality", [Text(), Category(), Vector(3)], ids=["text", "category", "vector"])
def test_examples_have_the_type_that_a_modality_says(modality: PlainModality) -> None:
    by = Transformer(context=48) if modality.name == "text" else None
    made = torch.from_numpy(modality.collate(modality.examples(6, 1), by, Path()))
    dtypes = {"f32": torch.float32, "i64": torch.int64, "bool": torch.bool}
    assert (made.shape, made.dtype) == ((6, *modality.dimensions(by)), dtypes[modality.dtype])
    again = torch.from_numpy(modality.collate(modality.examples(6, 1), by, Path()))
    assert torch.equal(made, again)
    assert not torch.equal(made, torch.from_numpy(modality.collate(modality.examples(6, 2), by, Path())))


@pytest.mark.parametrize(
    ("modality", "stored_", "reason"),
    [
        (Text(), None, "is no text"),
        (Category(), "owl", "is not one of the 3 known"),
        (Category(), 3, "is not one of the 3 known"),
        (Category(), -1, "is not one of the 3 known"),
        (Category(), 1.0, "is not one of the 3 known"),
        (Category(), True, "is not one of the 3 known"),
        (Image(), b"no image", "not an image that can be read"),
    ],
)
def test_a_value_that_cannot_be_decoded_says_why(modality: Modality, stored_: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        modality.decode(stored_, Storage(None, ("cat", "crane", "crane")))


def test_two_categories_may_have_one_name() -> None:
    """As `crane`, the bird and the machine, in ImageNet: numbers tell them apart."""
    storage = Storage(None, ("cat", "crane", "crane"))
    assert [Category().decode(label, storage) for label in (0, 1, 2, "cat")] == [0, 1, 2, 0]
