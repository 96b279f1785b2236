"""Representations: z_x and z_y of the bound."""

from m3i_dsl.vocabulary.kinds import Representation
from m3i_dsl.vocabulary.representations.category_embedding import CategoryEmbedding
from m3i_dsl.vocabulary.representations.code_embedding import CodeEmbedding
from m3i_dsl.vocabulary.representations.dense_feature import DenseFeature
from m3i_dsl.vocabulary.representations.dense_pixels import DensePixels
from m3i_dsl.vocabulary.representations.global_feature import GlobalFeature
from m3i_dsl.vocabulary.representations.prototype_distribution import PrototypeDistribution
from m3i_dsl.vocabulary.representations.text_embedding import TextEmbedding

WORDS: tuple[type[Representation], ...] = (
    DenseFeature,
    GlobalFeature,
    PrototypeDistribution,
    DensePixels,
    CategoryEmbedding,
    TextEmbedding,
    CodeEmbedding,
)
