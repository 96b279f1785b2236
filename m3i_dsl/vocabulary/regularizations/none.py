"""`none`: the target cannot collapse by itself."""

from dataclasses import dataclass

from m3i_dsl.vocabulary.kinds import Regularization


@dataclass(frozen=True, slots=True)
class NoRegularization(Regularization):
    """Nothing: right when f_phi has no parameters (pixels), whose entropy is a constant (the table's "-")."""

    name = "none"
    empty = True

    def cell(self) -> str:
        return "-"

    def details(self) -> tuple[str, ...]:
        """Nothing: there is nothing to say."""
        return ()
