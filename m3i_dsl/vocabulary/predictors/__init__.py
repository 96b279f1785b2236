"""Predictors: f_psi, and the projectors of encoders."""

from m3i_dsl.vocabulary.kinds import Predictor
from m3i_dsl.vocabulary.predictors.attention_pool import AttentionPool
from m3i_dsl.vocabulary.predictors.blocks import Blocks
from m3i_dsl.vocabulary.predictors.codebook import Codebook
from m3i_dsl.vocabulary.predictors.conv_decoder import ConvDecoder
from m3i_dsl.vocabulary.predictors.decoder import Decoder
from m3i_dsl.vocabulary.predictors.identity import Identity
from m3i_dsl.vocabulary.predictors.linear import Linear
from m3i_dsl.vocabulary.predictors.mlp import Mlp
from m3i_dsl.vocabulary.predictors.necks import Necks
from m3i_dsl.vocabulary.predictors.prompting_decoder import PromptingDecoder
from m3i_dsl.vocabulary.predictors.prototypes import Prototypes

WORDS: tuple[type[Predictor], ...] = (
    Identity,
    Linear,
    Mlp,
    AttentionPool,
    Decoder,
    PromptingDecoder,
    ConvDecoder,
    Blocks,
    Prototypes,
    Necks,
    Codebook,
)
