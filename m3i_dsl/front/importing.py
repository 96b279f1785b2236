"""Published weights, taken over.

Takes: a checkpoint of a model that timm has. Gives: an `Imported`. Guarantees: what is left out is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from m3i_dsl.front.opening import say

if TYPE_CHECKING:
    from m3i_dsl.evaluation.importing import Imported

NAMED = 8
"""Names that are left out, said one by one."""


def import_weights(
    file: Path, model: str, output: Path, *, key: str | None = None, prefix: str = "", force: bool = False
) -> Imported:
    """Writes the weights in `file`, of timm's `model`, to `output`, a safetensors file for the argument `weights`.

    Raises TrainingFault (M3I0762 `output` exists, M3I0764 no checkpoint, M3I0765 of another model) and OSError.
    """
    from m3i_dsl.evaluation.importing import import_checkpoint

    done = import_checkpoint(file, model, output, key=key, prefix=prefix, force=force)
    say(f"{model}, {done.parameters / 1e6:.2f} M parameters")
    if done.left_out:
        more = f" and {len(done.left_out) - NAMED} more" if len(done.left_out) > NAMED else ""
        say(f"left out: {', '.join(f'`{name}`' for name in done.left_out[:NAMED])}{more}")
    return done
