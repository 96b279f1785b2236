"""What can go wrong when a trained encoder is evaluated or exported.

Takes: a code of the catalogue and words. Gives: `EvaluationError`, a fault like those of training: it ends the command
without a traceback. Guarantees: message and help follow the style of diagnostics.
"""

from __future__ import annotations

from m3i_dsl.runtime.faults import TrainingFault

NO_LABELLED_SPLIT = "M3I0750"
FEATURES_NOT_FINITE = "M3I0751"
NO_CLASS_TOKEN = "M3I0752"
CATEGORY_NAMES_REPEAT = "M3I0753"
NO_TEXT_TARGET = "M3I0754"
NOT_TRAINED = "M3I0755"
SPLIT_TOO_LARGE = "M3I0756"
NOT_A_NUMBER = "M3I0757"
NO_SUCH_ENCODER = "M3I0760"
NOT_A_TIMM_BACKBONE = "M3I0761"
EXPORT_EXISTS = "M3I0762"
EXPORT_DIFFERS = "M3I0763"
NO_CHECKPOINT_FILE = "M3I0764"
OTHER_MODEL = "M3I0765"


class EvaluationError(TrainingFault):
    """A measurement or an export that cannot be made, for a reason that the user can act on."""

    def __init__(self, code: str, message: str, *, help: str, notes: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, notes=notes, helps=(help,))
