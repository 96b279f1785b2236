"""Where samples come from."""

from m3i_dsl.vocabulary.kinds import Source
from m3i_dsl.vocabulary.sources.embedded import Embedded
from m3i_dsl.vocabulary.sources.folder import Folder
from m3i_dsl.vocabulary.sources.parquet import Parquet

WORDS: tuple[type[Source], ...] = (Embedded, Folder, Parquet)
