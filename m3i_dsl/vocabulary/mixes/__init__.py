"""Ways to make one input of several."""

from m3i_dsl.vocabulary.kinds import Blend, Mix
from m3i_dsl.vocabulary.mixes.blend import MixupCutmix
from m3i_dsl.vocabulary.mixes.mix import PatchMix

WORDS: tuple[type[Mix | Blend], ...] = (PatchMix, MixupCutmix)
