"""A run's encoder, taken away.

Takes: a run's folder, a format and a folder to write. Gives: an `Export`. Guarantees: the format's own tool has loaded
what was written, with the same features; what is left out is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from m3i_dsl.front.opening import opened, say
from m3i_dsl.front.request import Device

if TYPE_CHECKING:
    from m3i_dsl.evaluation.export import Export

Format = Literal["timm"]
FORMATS: tuple[Format, ...] = get_args(Format)


def export(
    run: Path,
    folder: Path | None = None,
    *,
    format: Format = "timm",
    encoder: str | None = None,
    force: bool = False,
    device: Device = "auto",
) -> Export:
    """Writes `encoder` (default: the one that the first objective trains) to `folder` (default: RUN/FORMAT-ENCODER).

    Raises TrainingFault (M3I0760 no such encoder, M3I0761 timm does not have it, M3I0762 something is there that is not
    an export or `force` was not given, M3I0763 other features) and OSError.
    """
    from m3i_dsl.evaluation.export import export_timm
    from m3i_dsl.evaluation.trained_run import backbone_of, measured_encoder

    trained = opened(run, device)
    chosen = measured_encoder(trained.program, encoder)
    backbone = backbone_of(trained, chosen)
    done = export_timm(backbone, folder or trained.path / f"{format}-{chosen}", force=force)
    say(f"{backbone.architecture}, {done.parameters / 1e6:.2f} M parameters: {done.line}")
    if backbone.left_out:
        say(f"left out: {', '.join(backbone.left_out)}")
    return done
