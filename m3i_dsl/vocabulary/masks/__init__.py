"""Which tokens are hidden from the encoder. `counts.py` turns ratios into exact counts and makes rows exact."""

from m3i_dsl.vocabulary.kinds import Mask
from m3i_dsl.vocabulary.masks.blocks import BlocksMask
from m3i_dsl.vocabulary.masks.grid import GridMask
from m3i_dsl.vocabulary.masks.inverse_blocks import InverseBlocksMask
from m3i_dsl.vocabulary.masks.random import RandomMask
from m3i_dsl.vocabulary.masks.tokens import TokensMask

WORDS: tuple[type[Mask], ...] = (RandomMask, BlocksMask, InverseBlocksMask, GridMask, TokensMask)
"""A mask guided by attention (MILAN) joins here as `attention.py`."""
