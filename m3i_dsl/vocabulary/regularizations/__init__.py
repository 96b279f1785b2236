"""Regularizations: what keeps the target representation from collapsing."""

from m3i_dsl.vocabulary.kinds import Regularization
from m3i_dsl.vocabulary.regularizations.centering import Centering
from m3i_dsl.vocabulary.regularizations.covariance import Covariance
from m3i_dsl.vocabulary.regularizations.decorrelation import Decorrelation
from m3i_dsl.vocabulary.regularizations.koleo import KoLeo
from m3i_dsl.vocabulary.regularizations.mean_entropy import MeanEntropy
from m3i_dsl.vocabulary.regularizations.negative_categories import NegativeCategories
from m3i_dsl.vocabulary.regularizations.negative_codes import NegativeCodes
from m3i_dsl.vocabulary.regularizations.negative_samples import NegativeSamples
from m3i_dsl.vocabulary.regularizations.negative_texts import NegativeTexts
from m3i_dsl.vocabulary.regularizations.none import NoRegularization
from m3i_dsl.vocabulary.regularizations.sharpening import Sharpening
from m3i_dsl.vocabulary.regularizations.sinkhorn import Sinkhorn
from m3i_dsl.vocabulary.regularizations.stop_gradient import StopGradient
from m3i_dsl.vocabulary.regularizations.unigrad import UniGrad
from m3i_dsl.vocabulary.regularizations.variance import Variance

WORDS: tuple[type[Regularization], ...] = (
    NoRegularization,
    StopGradient,
    NegativeSamples,
    NegativeCategories,
    NegativeTexts,
    NegativeCodes,
    Decorrelation,
    UniGrad,
    Centering,
    Sharpening,
    Sinkhorn,
    MeanEntropy,
    KoLeo,
    Variance,
    Covariance,
)
