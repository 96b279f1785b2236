"""`stop gradient`: the loss does not move the target."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Regularization


@dataclass(frozen=True, slots=True)
class StopGradient(Regularization):
    """z_y enters the loss as a constant. Needs an asymmetry: an averaged or frozen target encoder, or a predictor."""

    name = "stop gradient"
    detaches = True
    certificate = "the loss cannot move the target"

    def details(self) -> tuple[str, ...]:
        """Nothing: it is drawn as a bar."""
        return ()
