"""Parameters that training treats by rules of their own.

Takes: the module that they are of. Gives: which of them their average copies, clipping leaves out, or are held still
for a while. Guarantees: a rule is a function of the step, not state, so a resumed run keeps it.
"""

from __future__ import annotations

from torch import nn

from m3i_dsl.vocabulary.values import Duration


class OwnRules(nn.Module):
    """A module that says so of its own parameters, by their names in it."""

    def copied(self) -> frozenset[str]:
        """Those that an average of this module takes as they are after each step."""
        return frozenset()

    def unclipped(self) -> frozenset[str]:
        """Those whose gradients are neither shortened nor part of the norm."""
        return frozenset()

    def held(self) -> tuple[frozenset[str], Duration] | None:
        """Those that do not move at the start of training, and for how long."""
        return None
