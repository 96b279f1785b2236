"""`timm`: any timm model that yields a dense grid of features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from m3i_dsl.vocabulary.encoders.catalogue import TimmModel, timm_model, timm_weights
from m3i_dsl.vocabulary.kinds import (
    EncoderContext,
    FeatureShape,
    Grid,
    ImageEncoder,
    Predictor,
    Statistics,
    TimmBackbone,
    WordError,
)
from m3i_dsl.vocabulary.limits import MOST_LAYERS, TINY_WIDTH, Limits
from m3i_dsl.vocabulary.values import Count, Fraction, Number, Numbers, Pixels
from m3i_dsl.vocabulary.word import Effect, argument

if TYPE_CHECKING:
    from torch import Tensor, nn

OTHER_BLOCKS = frozenset(
    {
        "vit_base_patch16_18x2_224",
        "vit_base_patch16_rpn_224",
        "vit_base_patch16_xp_224",
        "vit_dlittle_patch16_reg1_gap_256",
        "vit_dpwee_patch16_reg1_gap_256",
        "vit_dwee_patch16_reg1_gap_256",
        "vit_huge_patch14_xp_224",
        "vit_large_patch14_xp_224",
        "vit_pwee_patch16_reg1_gap_256",
        "vit_small_patch16_18x2_224",
    }
)
"""Plain ViTs whose blocks are not: parallel, normalised behind the sum, or of differential attention."""

SMALLEST = {"resnet": "resnet10t", "convnext": "convnext_atto"}
"""The smallest model of a family."""


@dataclass(frozen=True, slots=True)
class Timm(ImageEncoder):
    """A timm backbone: z = its `forward_features`, prefix tokens first, then the grid, row-major.

    A ViT may drop hidden tokens (after positions are added) or replace them by a learned mask token (before). BEiT,
    Swin and ConvNeXt put a learned mask token behind their stem; every other model gets a learned colour in the image.
    Arguments that are left out keep what the model of that name has.
    """

    name = "timm"

    model: str = argument(doc="the name in timm, possibly with a tag for its weights, `vit_base_patch16_224.mae`")
    image: Pixels = argument(doc="height and width of its images", minimum=1)
    patch: Pixels | None = argument(None, doc="patch size of its stem (ViT, Swin, ConvNeXt)", minimum=1)
    stride: Pixels | None = argument(None, doc="pixels per token, had by dilation (ResNet, ConvNeXt): 8, 16, or 32")
    width: Count | None = argument(None, doc="channels (ViT, BEiT)", minimum=1, tiny=TINY_WIDTH)
    depth: Count | None = argument(None, doc="blocks (ViT, BEiT)", minimum=1, maximum=MOST_LAYERS, tiny=2)
    heads: Count | None = argument(None, doc="attention heads (ViT, BEiT)", minimum=1, tiny=2)
    positions: Literal["learned", "sincos", "relative", "shared relative"] = argument(
        "learned",
        doc="what the model of that name trains, or fixed sines and cosines (ViT), or a bias of attention by relative "
        "places, of each block or of all (BEiT)",
        origin="timm",
    )
    class_token: bool | None = argument(None, doc="whether there is a class token (ViT)")
    final_norm: bool | None = argument(
        None, doc="whether features are layer-normalised after the last block (ViT, BEiT)"
    )
    freeze_patch_embedding: bool = argument(False, doc="whether the patch embedding stays as initialised (MoCo v3)")
    drop_path: Fraction = argument(
        0.0, doc="stochastic depth of the last block, linear from 0", minimum=0, below=1, tiny=0
    )
    layer_scale: Number | None = argument(
        None, doc="what trained factors of the residual branches start at (ViT, BEiT): BEiT 0.1, data2vec 1e-4", above=0
    )
    init: Literal["timm", "mae", "moco_v3", "beit", "dino", "clip"] = argument(
        "timm", doc="whose initial weights it has (ViT; `beit` also BEiT)", origin="timm"
    )
    pretrained: bool = argument(False, doc="whether it starts from timm's own weights")
    weights: str | None = argument(
        None,
        doc="what to start from: a safetensors file with timm's parameter names, a folder of `m3ic export`, or the "
        "folder of a run, whose first encoder it takes at the newest checkpoint",
    )
    head: bool = argument(
        False, doc="whether the model's own linear head follows, token by token (ViT): MILAN's and VQ-KD's CLIP"
    )
    mean: Numbers | None = argument(None, doc="of the pixels that a teacher takes; the view's when left out")
    std: Numbers | None = argument(None, doc="of the pixels that a teacher takes; the view's when left out")
    fit: Literal["exact", "resize"] = argument(
        "exact", doc="what a teacher does with a view of another size: refuse it, or resize it, bicubic", origin="BEiT"
    )
    projector: Predictor | None = argument(None, doc="what the features go through before they are compared")

    def shape(self) -> FeatureShape:
        entry = timm_model(self.model)
        self._check(entry)
        stride = self._stride(entry)
        if self.image % stride:
            raise WordError(
                f"an image of {self.image}px is not a whole number of tokens of {stride}px",
                argument="image",
                help=f"use a multiple of {stride}px, or another `patch` if the model takes one",
            )
        width, heads = self.width or entry.width, self.heads or entry.heads
        if heads and width % heads:
            raise WordError(
                f"{heads} heads do not divide {width} channels", argument="heads" if self.heads else "width"
            )
        side = self.image // stride
        return FeatureShape(
            width=self.head_rows() if self.head else width,
            grid=Grid(side, side),
            prefix=entry.prefix + self._wants_class_token(entry) - entry.class_token,
            depth=1 if self.head else self.depth or entry.depth,
            stride=stride,
            image=(self.image, self.image),
        )

    def shape_at(self, size: tuple[int, int]) -> FeatureShape:
        """A plain ViT resamples its position embedding; a model of convolutions takes any whole number of strides."""
        shape, entry = self.shape(), timm_model(self.model)
        if size == shape.image:
            return shape
        if not self.embeds_visible() and entry.size != "free":
            raise WordError(
                f"`{self.model}` takes images of one size",
                help=f"give the view {self.image}px, or choose a plain ViT, a ResNet, or a ConvNeXt",
            )
        height, width = size
        if height % shape.stride or width % shape.stride:
            raise WordError(
                f"they are no whole number of tokens of {shape.stride}px",
                help=f"use a multiple of {shape.stride}px",
            )
        return replace(shape, grid=Grid(height // shape.stride, width // shape.stride), image=size)

    def drops_tokens(self) -> bool:
        return timm_model(self.model).family == "vit"

    def embeds_visible(self) -> bool:
        entry = timm_model(self.model)
        return entry.family == "vit" and entry.patch > 0

    def packs(self) -> bool:
        return self.embeds_visible() and self.model.split(".")[0] not in OTHER_BLOCKS

    def isolates(self) -> bool:
        return timm_model(self.model).family == "vit"

    def couples_batch(self) -> bool:
        return timm_model(self.model).batch_norm

    def effects_of(self) -> frozenset[Effect]:
        entry = timm_model(self.model)
        effects: set[Effect] = set()
        if entry.batch_norm:
            effects |= {Effect.BATCH_COUPLED, Effect.STATEFUL}
        if entry.random or self.drop_path > 0:
            effects.add(Effect.RANDOM)
        return frozenset(effects)

    def build(self, context: EncoderContext) -> "nn.Module":
        """The adapter; without `context.mask_token` it has none, and then cannot take `tokens="mask"`."""
        from m3i_dsl.modules.encoders.timm import build_encoder

        shape = self.shape()
        return build_encoder(self, timm_model(self.model), shape, context.mask_token)

    def label(self) -> str:
        return self.model

    def details(self) -> tuple[str, ...]:
        """The architecture, without the tag of its weights."""
        return (self.model.partition(".")[0],)

    def backbone(self, module: "nn.Module") -> TimmBackbone:
        from m3i_dsl.modules.encoders.timm import model_arguments

        arguments = model_arguments(self, timm_model(self.model))
        return TimmBackbone(module.get_submodule("model"), self.model.split(".")[0], arguments)

    def files(self) -> Mapping[str, str]:
        return {} if self.weights is None else {"weights": self.weights}

    def load(self, module: "nn.Module", base: Path) -> None:
        """Raises WordError: no such file, names or shapes that do not fit, no download."""
        from m3i_dsl.modules.encoders.timm import load_pretrained

        if self.pretrained:
            load_pretrained(self, timm_model(self.model), module)
        if self.weights is not None:
            self.load_file(module, base / self.weights)

    def load_file(self, module: "nn.Module", path: Path) -> None:
        from m3i_dsl.evaluation.weights import read_weights
        from m3i_dsl.modules.encoders.timm import HEADS, load_state

        try:
            state = read_weights(path)
        except WordError as fault:
            raise WordError(fault.message, argument="weights", help=fault.help) from fault
        load_state(module, state, path.name, argument="weights", optional=() if self.head else HEADS)

    def folder_sha256(self, path: Path) -> str:
        from m3i_dsl.evaluation.weights import weights_sha256

        return weights_sha256(path)

    def tiny_image(self, side: int) -> int:
        shape, entry = self.shape(), timm_model(self.model)
        rows = min(side, shape.grid.rows)
        if entry.size == "fixed":
            return shape.image[0]
        if entry.plain:
            return 4 * rows
        return (8 if self._has_smaller(entry) else shape.stride) * rows

    def shrunk(self, limits: Limits) -> "Timm":
        """A plain ViT of as many tokens as fit, the smallest ResNet or ConvNeXt. No weights to start from."""
        entry = timm_model(self.model)
        image = limits.image(self.image)
        small = replace(self.with_tiny_arguments(limits), image=image, pretrained=False, weights=None, head=False)
        if entry.plain:
            patch = image // min(limits.side, self.shape().grid.rows)
            width, depth = min(self.width or entry.width, TINY_WIDTH), min(self.depth or entry.depth, 2)
            return replace(small, patch=patch, width=width, depth=depth, heads=min(self.heads or entry.heads, 2))
        if self._has_smaller(entry):
            return replace(small, model=SMALLEST[entry.family], stride=8)
        return small

    def _has_smaller(self, entry: TimmModel) -> bool:
        return entry.family in SMALLEST and self.patch is None and entry.size != "fixed"

    def starts_from_weights(self) -> bool:
        return self.pretrained or self.weights is not None

    def trained_on(self) -> Statistics | None:
        found = timm_weights(self.model) if self.pretrained else None
        return None if found is None else Statistics(found.mean, found.std)

    def statistics(self) -> Statistics:
        return Statistics(self.mean, self.std)

    def resizes(self) -> bool:
        return self.fit == "resize"

    def head_rows(self) -> int:
        """The channels that the model's own head yields; 0 when it has none."""
        found = timm_weights(self.model)
        return 0 if found is None else found.classes

    def fitted(self, module: "nn.Module", name: str, value: "Tensor") -> "Tensor":
        """Positions of another grid are resampled."""
        from m3i_dsl.modules.encoders.timm import fitted

        return fitted(module, name, value)

    def _stride(self, entry: TimmModel) -> int:
        if self.stride is not None:
            return self.stride
        return entry.stride if self.patch is None else entry.stride // entry.patch * self.patch

    def _wants_class_token(self, entry: TimmModel) -> bool:
        return entry.class_token if self.class_token is None else self.class_token

    def _check(self, entry: TimmModel) -> None:
        for argument_name, given, of_beit in (
            ("width", self.width is not None, True),
            ("depth", self.depth is not None, True),
            ("heads", self.heads is not None, True),
            ("positions", self.positions == "sincos", False),
            ("class_token", self.class_token is not None, False),
            ("final_norm", self.final_norm is not None, True),
            ("layer_scale", self.layer_scale is not None, True),
            ("init", self.init != "timm", self.init == "beit"),
            ("head", self.head, False),
        ):
            if given and entry.family != "vit" and not (of_beit and entry.plain):
                raise WordError(
                    f"`{argument_name}` is an argument of plain ViTs, and `{self.model}` is none",
                    argument=argument_name,
                    help="leave it out, or choose a model that timm makes with `VisionTransformer`",
                )
        if self.positions in ("relative", "shared relative") and entry.family != "beit":
            raise WordError(
                f"`{self.model}` has no bias of attention by relative places",
                argument="positions",
                help='choose a BEiT, such as `"beit_base_patch16_224"`',
            )
        if self.patch is not None and not entry.patch:
            raise WordError(f"`{self.model}` has no patch embedding whose size could be set", argument="patch")
        if self.stride is not None and (entry.family not in ("resnet", "convnext") or self.patch is not None):
            raise WordError(
                "`stride` can be set for a ResNet or ConvNeXt without `patch`",
                argument="stride",
                help="for other models choose `patch` or the size of the image",
            )
        if self.stride is not None and self.stride not in (8, 16, 32):
            raise WordError(
                f"a stride of {self.stride}px cannot be had by dilation", argument="stride", help="8, 16, or 32px"
            )
        if entry.size == "fixed" and self.image != entry.image:
            raise WordError(f"`{self.model}` only takes images of {entry.image}px", argument="image")
        if self.freeze_patch_embedding and not entry.plain and entry.family not in ("swin", "swinv2"):
            raise WordError(f"`{self.model}` has no patch embedding to freeze", argument="freeze_patch_embedding")
        if self.drop_path > 0 and not entry.drop_path:
            raise WordError(f"`{self.model}` has no stochastic depth", argument="drop_path")
        if self.positions == "sincos" and (self.width or entry.width) % 4:
            raise WordError("sincos positions need a width that is a multiple of 4", argument="positions")
        if self.head and not self.head_rows():
            raise WordError(
                f"timm's `{self.model}` has no linear head",
                argument="head",
                help='leave it out, or choose weights that have one, such as "vit_base_patch16_clip_224.openai"',
            )
        for argument_name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) != 3:
                raise WordError(
                    f"`{argument_name}` has {len(numbers)} numbers",
                    argument=argument_name,
                    help="write one number for each of red, green and blue",
                )
        if self.std is not None and min(self.std) <= 0:
            raise WordError("`std` must be above 0", argument="std")
        if self.pretrained and self.weights is not None:
            raise WordError("it cannot start from two sets of weights", argument="weights")
        if self.pretrained and (self.width, self.depth, self.heads) != (None, None, None):
            raise WordError("timm's weights fit only the model as it is", argument="pretrained")
