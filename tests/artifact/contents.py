"""A small artifact for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

from m3i_dsl.artifact import (
    ArtifactContents,
    DataLock,
    EncoderCalls,
    Lock,
    ParameterCounts,
    ParameterRecord,
    Summary,
    TargetRow,
)
from m3i_dsl.diagnostics import Severity, error
from m3i_dsl.source import SourceFile, Span

LOCK = Lock(
    data={
        "digits": DataLock(samples=1797, categories=("zero", "one", "two"), fingerprint="a" * 64),
        "photos": DataLock(samples=10, categories=(), fingerprint="b" * 64),
    },
    files={"weights/teacher.safetensors": "c" * 64},
)

PARAMETERS = (
    ParameterRecord("image.patch_embed.weight", (64, 3, 4, 4), "float32"),
    ParameterRecord("image.cls_token", (1, 1, 64), "float32"),
)

IR = "%0:f32[B,3,32,32] = view[view1]()\n%1:f32[B,64,64] = encode[image](%0)\n"


def contents(folder: Path, *, recipe_text: str = "m3i 1\nrecipe tiny\n") -> ArtifactContents:
    """Contents whose sources lie in `folder`: tiny.m3i and the file that it uses (written if absent)."""
    recipe, used = folder / "tiny.m3i", folder / "shared.m3i"
    for path, text in ((recipe, recipe_text), (used, "m3i 1\nview view1 of digits.image = crop(32px)\n")):
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    sources = tuple(SourceFile(str(path), path.read_text(encoding="utf-8")) for path in (recipe, used))
    return ArtifactContents(
        name="tiny",
        recipe="m3i 1\nrecipe tiny # canonical, with a caption: \u00e9t\u00e9\n",
        ir=IR,
        graph="# tiny.m3i:2\nencode = self.image(view1)\n",
        lock=LOCK,
        parameters=PARAMETERS,
        summary=Summary(
            targets=(
                TargetRow(
                    objective="tiny",
                    target="intra",
                    input_data="masked view1",
                    target_data="view1",
                    input_representation="dense feature",
                    target_representation="dense pixels",
                    regularization="none",
                    distribution="gaussian",
                ),
            ),
            encoder_calls=EncoderCalls(before=2, after=1),
            parameters=ParameterCounts(trained=3136, averaged=0, frozen=0),
        ),
        sources=sources,
        settings={"size": "32px", "epochs": "3"},
        diagnostics=(error("M3I0801", "no row is like it", Span(sources[0], 6, 12), severity=Severity.INFO),),
    )
