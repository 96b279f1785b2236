"""What other tools list of a run beside its curves.

Takes: the typed program and the identity of the run. Gives: names and plain values. Guarantees: values are in the words
of the recipe; the recipe as a whole is in the run folder.
"""

from __future__ import annotations

from m3i_dsl.runtime.run_folder import RunIdentity
from m3i_dsl.semantics.program import Program
from m3i_dsl.vocabulary.values import Duration, clip_text, number_text


def configuration_of(program: Program, identity: RunIdentity) -> dict[str, str | int | float]:
    """By dotted name: `train.optimizer`, `encoder.image`, `data.digits`, `version.torch`."""
    training = program.training
    found: dict[str, str | int | float] = {
        "recipe": program.name,
        "fingerprint": identity.fingerprint,
        "train.batch": training.batch,
        "train.length": _length(training.length),
        "train.warmup": _length(training.warmup),
        "train.optimizer": training.optimizer.word.text(),
        "train.schedule": training.schedule.word.text(),
        "train.precision": training.precision,
        "train.seed": training.seed,
    }
    if training.clip is not None:
        found["train.clip"] = clip_text(training.clip)
    found |= {f"data.{name}": data.source.word.text() for name, data in program.data.items()}
    found |= {f"encoder.{name}": encoder.word.word.text() for name, encoder in program.encoders.items()}
    return found | {f"version.{name}": version for name, version in identity.versions.items()}


def _length(duration: Duration) -> str:
    return number_text(duration.value, duration.unit)
