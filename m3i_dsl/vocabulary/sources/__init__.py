"""Where samples come from."""

from m3i_dsl.vocabulary.kinds import Source
from m3i_dsl.vocabulary.sources.embedded import Embedded
from m3i_dsl.vocabulary.sources.folder import Folder
from m3i_dsl.vocabulary.sources.huggingface import HuggingFace
from m3i_dsl.vocabulary.sources.mixture import MixtureOf
from m3i_dsl.vocabulary.sources.parquet import Parquet
from m3i_dsl.vocabulary.sources.tar import Tar
from m3i_dsl.vocabulary.sources.torchvision import Torchvision

WORDS: tuple[type[Source], ...] = (Embedded, Folder, HuggingFace, MixtureOf, Parquet, Tar, Torchvision)
