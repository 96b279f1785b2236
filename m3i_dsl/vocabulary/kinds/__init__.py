"""The kinds of words: what each column of the instantiation table must be able to do.

Takes: nothing. Gives: one abstract class for each kind, with the methods that the phases call. Guarantees: no torch at
import; the methods named `build` (they return an `nn.Module`) and `apply` import it when called.
"""

from m3i_dsl.vocabulary.kinds.encoders import Encoder, EncoderContext, EncoderCopy, ImageEncoder, TextEncoder
from m3i_dsl.vocabulary.kinds.faults import WordError
from m3i_dsl.vocabulary.kinds.objectives import Distribution, Regularization, Representation, Weighting
from m3i_dsl.vocabulary.kinds.predictors import Predictor
from m3i_dsl.vocabulary.kinds.shapes import (
    CANDIDATE_TOKENS,
    CATEGORIES,
    PROTOTYPES,
    SAMPLES,
    TEXTS,
    Candidates,
    ConstantShares,
    Family,
    FeatureShape,
    Grid,
    LikelihoodShape,
    Modality,
    Normalization,
    Pooling,
    PredictorShape,
)
from m3i_dsl.vocabulary.kinds.sources import BrokenSample, Dataset, Sample, Source, SourceDescription
from m3i_dsl.vocabulary.kinds.training import Evaluator, Optimizer, Schedule
from m3i_dsl.vocabulary.kinds.views import Mask, Mix, Transform, ViewState

__all__ = [
    "CANDIDATE_TOKENS",
    "CATEGORIES",
    "PROTOTYPES",
    "SAMPLES",
    "TEXTS",
    "BrokenSample",
    "Candidates",
    "ConstantShares",
    "Dataset",
    "Distribution",
    "Encoder",
    "EncoderContext",
    "EncoderCopy",
    "Evaluator",
    "Family",
    "FeatureShape",
    "Grid",
    "ImageEncoder",
    "LikelihoodShape",
    "Mask",
    "Mix",
    "Modality",
    "Normalization",
    "Optimizer",
    "Pooling",
    "Predictor",
    "PredictorShape",
    "Regularization",
    "Representation",
    "Sample",
    "Schedule",
    "Source",
    "SourceDescription",
    "TextEncoder",
    "Transform",
    "ViewState",
    "Weighting",
    "WordError",
]
