"""Programs and sources of the data tests, made by hand: only what the data stage reads is filled in."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from m3i_dsl.ir.inputs import BatchInput, FieldInput, GeometryInput, MaskInput, ViewInput
from m3i_dsl.semantics.program import Data, EncoderDeclaration, Placed, Program, View
from m3i_dsl.semantics.training import Training
from m3i_dsl.source import SourceFile, Span
from m3i_dsl.vocabulary.encoders.transformer import Transformer
from m3i_dsl.vocabulary.kinds import Grid, Source, Transform
from m3i_dsl.vocabulary.masks import BlocksMask, RandomMask
from m3i_dsl.vocabulary.modalities import Category, Text
from m3i_dsl.vocabulary.sources import Embedded
from m3i_dsl.vocabulary.transforms import Crop, Flip, Jitter, Normalize, Solarize
from m3i_dsl.vocabulary.transforms.pipeline import output_size

SPAN = Span(SourceFile("recipe.m3i", "recipe"), 0, 6)

UNREAD: Any = None
"""A field that the data stage must not read."""

VIEWS: Mapping[str, tuple[Transform, ...]] = {
    "view1": (Crop(size=16, scale=(0.4, 1.0)), Flip(), Jitter(), Normalize()),
    "view2": (Crop(size=16, scale=(0.4, 1.0)), Solarize(), Normalize()),
}


def placed(word: Any) -> Placed[Any]:
    return Placed(word, SPAN, {})


def program(
    sources: Mapping[str, Source],
    batch: int,
    views: Mapping[str, tuple[Transform, ...]] = VIEWS,
    seed: int = 0,
) -> Program:
    """The views are of the first source."""
    data = {name: Data(name, placed(source), SPAN) for name, source in sources.items()}
    first = next(iter(data.values()))
    training = Training(
        batch=batch,
        length=UNREAD,
        warmup=UNREAD,
        optimizer=UNREAD,
        schedule=UNREAD,
        precision="fp32",
        seed=seed,
        clip=None,
        span=SPAN,
        settings={},
    )
    return Program(
        name="test",
        file=SPAN.file,
        parameters={},
        data=data,
        views={
            name: View(name, first, "image", tuple(map(placed, steps)), output_size(steps) or (0, 0), SPAN)
            for name, steps in views.items()
        },
        encoders={"words": EncoderDeclaration("words", placed(Transformer(context=48)), None, None, False, None, SPAN)},
        objectives=(),
        training=training,
        evaluations=(),
        span=SPAN,
    )


def digits(batch: int = 96, seed: int = 0) -> Program:
    return program({"digits": Embedded("digits")}, batch, seed=seed)


GRID = Grid(4, 4)

ALL_INPUTS: Sequence[BatchInput] = (
    ViewInput("x1", "view1"),
    ViewInput("x2", "view2"),
    GeometryInput("t1", "view1"),
    GeometryInput("t2", "view2"),
    MaskInput("m1", "view1", RandomMask(), GRID, 4, "view1/mask"),
    MaskInput("m2", "view2", BlocksMask(minimum=2), GRID, 4, "view2/mask"),
    FieldInput("text", "digits", "text", Text(), "words"),
    FieldInput("category", "digits", "category", Category()),
)


def picture(seed: int, size: tuple[int, int] = (24, 24)) -> NDArray[np.uint8]:
    """A smooth random image, which JPEG keeps well."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def encoded(image: NDArray[np.uint8], format_: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format_)
    return file.getvalue()


def image_folder(root: Path, counts: Mapping[str, int], size: tuple[int, int] = (24, 24)) -> Path:
    """`root/<category>/<number>.png`, with a caption beside each."""
    seed = 0
    for category, count in counts.items():
        (root / category).mkdir(parents=True)
        for number in range(count):
            (root / category / f"{number:02}.png").write_bytes(encoded(picture(seed, size), "PNG"))
            (root / category / f"{number:02}.txt").write_text(f"a picture of {category}, number {number}\n")
            seed += 1
    return root


def shared_data(name: str) -> Path:
    """A folder of real data, beside the repository or at M3IC_SHARED_DATA; skips the test where there is none."""
    written = os.environ.get("M3IC_SHARED_DATA")
    root = Path(written) if written else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not (root / name).is_dir():
        pytest.skip(f"no real data at {root / name}; set M3IC_SHARED_DATA to a folder that has `{name}`")
    return root / name
