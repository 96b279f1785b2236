"""The steps of a view. `pipeline.py` says in which order they are done and what is added when it was left out."""

from m3i_dsl.vocabulary.kinds import Transform
from m3i_dsl.vocabulary.transforms.blur import Blur
from m3i_dsl.vocabulary.transforms.center_crop import CenterCrop
from m3i_dsl.vocabulary.transforms.crop import Crop
from m3i_dsl.vocabulary.transforms.flip import Flip
from m3i_dsl.vocabulary.transforms.grayscale import Grayscale
from m3i_dsl.vocabulary.transforms.jitter import Jitter
from m3i_dsl.vocabulary.transforms.normalize import Normalize
from m3i_dsl.vocabulary.transforms.resize import Resize
from m3i_dsl.vocabulary.transforms.solarize import Solarize
from m3i_dsl.vocabulary.transforms.three_augment import ThreeAugment

WORDS: tuple[type[Transform], ...] = (
    Crop,
    Resize,
    CenterCrop,
    Flip,
    Jitter,
    Grayscale,
    Blur,
    Solarize,
    ThreeAugment,
    Normalize,
)
