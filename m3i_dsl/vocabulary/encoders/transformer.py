"""`transformer`: a text encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.kinds import EncoderContext, TextEncoder, TextPooling, WordError
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH, Limits
from m3i_dsl.vocabulary.values import Count
from m3i_dsl.vocabulary.word import argument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn


@dataclass(frozen=True, slots=True)
class Transformer(TextEncoder):
    """A pre-LN transformer over token ids; a text is pooled to one vector.

    It is bidirectional unless `causal`. CLIP has `transformer(causal: true, activation: quick_gelu, init: clip, pool:
    end)`.

    `tokenizer: bytes` needs no file: ids 1..256 are the bytes of the UTF-8 text, 257 begins and 258 ends it, 0 pads.
    `tokenizer: file` reads a JSON file of the `tokenizers` library; its ids are shifted by one, so that 0 pads.
    """

    name = "transformer"

    width: Count = argument(512, doc="channels", origin="CLIP", minimum=1, tiny=TINY_WIDTH)
    layers: Count = argument(12, doc="blocks", origin="CLIP", minimum=1, maximum=MOST_LAYERS, tiny=2)
    heads: Count = argument(8, doc="attention heads", origin="CLIP", minimum=1, tiny=2)
    tokenizer: Literal["bytes", "file"] = argument("bytes", doc="how a text becomes ids")
    file: str | None = argument(None, doc="`tokenizers` JSON file, relative to the recipe")
    context: Count = argument(
        77, doc="ids kept of each text, with its begin and end", origin="CLIP", minimum=3, tiny=12
    )
    pool: TextPooling = argument("mean", doc="mean over the tokens, or the last token", origin="paper")

    causal: bool = argument(False, doc="whether a token attends to those up to itself only (CLIP)", origin="paper")
    activation: Literal["gelu", "quick_gelu"] = argument("gelu", doc="in the blocks; CLIP has x sigmoid(1.702 x)")
    init: Literal["xavier", "clip"] = argument("xavier", doc="initial weights of the blocks", origin="MAE")

    def check(self) -> None:
        """Raises WordError when the arguments do not fit each other."""
        if self.width % self.heads:
            raise WordError(f"{self.heads} heads do not divide {self.width} channels", argument="heads")
        if self.tokenizer == "file" and self.file is None:
            raise WordError("`tokenizer: file` needs a file", argument="tokenizer", help='add `file: "tokenizer.json"`')
        if self.tokenizer == "bytes" and self.file is not None:
            raise WordError("`tokenizer: bytes` reads no file", argument="file", help="write `tokenizer: file`")

    def build(self, context: EncoderContext) -> "nn.Module":
        from m3i_dsl.modules.text_encoder import TextTransformer

        self.check()
        return TextTransformer(
            vocabulary=self.vocabulary_size(context.base),
            context=self.context,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            causal=self.causal,
            activation=self.activation,
            initial=self.init,
            mask_token=context.mask_token,
        )

    def looks_back(self) -> bool:
        return self.causal

    def shrunk(self, limits: Limits) -> "Transformer":
        """With the tokenizer that needs no file."""
        return replace(self.with_tiny_arguments(limits), tokenizer="bytes", file=None)

    def files(self) -> Mapping[str, str]:
        return {} if self.file is None else {"file": self.file}

    def tokenize(self, texts: list[str], base: Path) -> "NDArray[np.int64]":
        from m3i_dsl.vocabulary.encoders import tokenization

        if self.tokenizer == "bytes":
            return tokenization.byte_ids(texts, self.context)
        return tokenization.file_ids(texts, self.context, self._file(base))

    def hideable(self, tokens: "NDArray[np.int64]", base: Path) -> "NDArray[np.bool_]":
        from m3i_dsl.vocabulary.encoders import tokenization

        if self.tokenizer == "bytes":
            return (tokens != 0) & (tokens < tokenization.BEGIN)
        return tokenization.file_hideable(tokens, self._file(base))

    def vocabulary_size(self, base: Path) -> int:
        from m3i_dsl.vocabulary.encoders import tokenization

        return (
            tokenization.BYTE_VOCABULARY
            if self.tokenizer == "bytes"
            else tokenization.file_vocabulary(self._file(base))
        )

    def _file(self, base: Path) -> Path:
        self.check()
        assert self.file is not None
        path = base / self.file
        if not path.is_file():
            raise WordError(f"there is no tokenizer file `{self.file}`", argument="file")
        return path
