"""The kinds of words: what each column of the instantiation table must be able to do.

Takes: nothing. Gives: one abstract class for each kind, with the methods that the phases call. Guarantees: no torch at
import; the methods named `build` (they return an `nn.Module`) and `apply` import it when called.
"""

from m3i_dsl.vocabulary.kinds.encoders import (
    Encoder,
    EncoderContext,
    EncoderCopy,
    ImageEncoder,
    TextEncoder,
    image_encoder,
    text_encoder,
)
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
    Comparison,
    ConstantShares,
    Family,
    FeatureShape,
    Grid,
    LikelihoodShape,
    Modality,
    Normalization,
    Pooling,
    PredictorCall,
    PredictorShape,
    RepresentationShape,
)
from m3i_dsl.vocabulary.kinds.sources import BrokenSample, Dataset, Sample, Source, SourceDescription
from m3i_dsl.vocabulary.kinds.targets import TargetParts, V
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
    "Comparison",
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
    "PredictorCall",
    "PredictorShape",
    "Regularization",
    "Representation",
    "RepresentationShape",
    "Sample",
    "Schedule",
    "Source",
    "SourceDescription",
    "TargetParts",
    "TextEncoder",
    "Transform",
    "V",
    "ViewState",
    "Weighting",
    "WordError",
    "image_encoder",
    "text_encoder",
]
