"""Encoders: f_theta and f_phi."""

from m3i_dsl.vocabulary.encoders.ema import Ema
from m3i_dsl.vocabulary.encoders.frozen import Frozen
from m3i_dsl.vocabulary.encoders.timm import Timm
from m3i_dsl.vocabulary.encoders.transformer import Transformer
from m3i_dsl.vocabulary.kinds import Encoder, EncoderCopy

WORDS: tuple[type[Encoder | EncoderCopy], ...] = (Timm, Transformer, Ema, Frozen)
