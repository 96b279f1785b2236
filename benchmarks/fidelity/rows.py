"""The rows of the table: what could differ, by recipe.

Takes: nothing. Gives: `ROWS`. Guarantees: a declared row quotes the header of its recipe, which a test looks up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.fidelity import measured

METHODS = (
    "mae",
    "simmim",
    "data2vec",
    "siamese_im",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "simclr",
    "byol",
    "barlow_twins",
    "vicreg",
    "densecl",
    "dino",
    "ibot",
    "msn",
    "dinov2",
    "clip",
    "deit_iii",
    "fd",
    "fd_dino",
    "m3i_vitb_imagenet",
    "m3i_vitb_yfcc",
    "vqkd",
    "beit",
)


@dataclass(frozen=True, slots=True)
class Row:
    """`what` of `recipe`; `measure` gives a difference and `unit` says of what.

    `declared` is in the recipe's header, "" where nothing differs.
    """

    recipe: str
    what: str
    measure: Callable[[], float] | None
    unit: str
    declared: str = ""
    tolerance: float = 1e-9
    """The most that an equal row may differ by."""


def _steps(recipe: str) -> Row:
    return Row(
        recipe,
        "three steps: loss, gradients, clipping, schedule, decay, optimizer, average, buffers",
        lambda: measured.three_steps(recipe),
        "largest difference of a number after them",
    )


def _initial(recipe: str, what: str) -> Row:
    return Row(
        recipe,
        f"initial weights: {what}",
        lambda: measured.initial(recipe),
        "largest relative difference of a deviation from the published one; drawn at random",
        tolerance=0.1,
    )


ROWS: tuple[Row, ...] = (
    *(_steps(recipe) for recipe in METHODS),
    _initial("mae", "xavier-uniform, class and mask token N(0, 0.02)"),
    _initial("simmim", "truncated N(0, 0.02), last matrices of block l over sqrt(2 l)"),
    _initial("beit", "truncated N(0, 0.02), last matrices of block l over sqrt(2 l)"),
    _initial("data2vec", "truncated N(0, 0.02), last matrices of block l over sqrt(2 l)"),
    _initial("siamese_im", "xavier-uniform, class and mask token N(0, 0.02)"),
    _initial("moco_v3", "xavier-uniform, query, key and value each by itself"),
    _initial("dino", "truncated N(0, 0.02); prototypes as a linear layer"),
    _initial("ibot", "truncated N(0, 0.02); prototypes as a linear layer"),
    _initial("clip", "the blocks of image and text"),
    *(
        Row(
            recipe,
            "LN0 of the target",
            measured.epsilon,
            "largest difference of a normalised feature",
            "LN0 with eps 1e-6, theirs 1e-5",
        )
        for recipe in ("siamese_im", "data2vec", "fd", "fd_dino")
    ),
    Row("siamese_im", "norm of the blocks", None, "", "layer norm in place of batch norm"),
    *(
        Row(
            recipe,
            "when the average follows",
            lambda start=start: measured.average_late(start),
            "largest difference of the momentum, over 10,000 steps",
            "the average follows after the step, theirs before the next one",
        )
        for recipe, start in (("siamese_im", 0.995), ("moco_v3", 0.99))
    ),
    Row(
        "mae",
        "the first step of the warmup",
        lambda: measured.first_step(400),
        "share of the peak rate, of 400 steps of warmup; theirs is 0",
        "The first step of the warmup moves already",
    ),
    Row("data2vec", "dropout of attention", None, "", "No attention dropout"),
    *(
        Row(recipe, "backbone", None, "", "ViT in place of ResNet-50")
        for recipe in ("simclr", "byol", "barlow_twins", "vicreg", "densecl")
    ),
    *(Row(recipe, "backbone", None, "", "ResNet-10-T in place of ResNet-50") for recipe in ("moco_v1", "moco_v2")),
    Row("simclr", "scale of the last norm", None, "", "The last batch norm has no scale"),
    Row("simclr", "where the rate is applied", None, "", "the rate is applied after the momentum"),
    Row("simclr", "initial weights of the projector", None, "", "projector weights start as torch has them"),
    *(
        Row(
            recipe,
            "positions of small crops",
            measured.grid_offset,
            "largest difference of a position over the deviation of positions, 14 x 14 to 6 x 6",
            "Positions are resampled at the edges, theirs with 0.1 added to the grid",
        )
        for recipe in ("dino", "ibot", "dinov2")
    ),
    Row("ibot", "length of prototypes", None, "", "Prototypes of unit length, which theirs trains for ViT-S"),
    Row("ibot", "how much a mask hides", None, "", "masks reach their count, theirs may stop short"),
    Row("ibot", "initial mask token", None, "", "the mask token starts at N(0, 0.02), theirs at 0"),
    Row("dinov2", "length of prototypes", None, "", "Prototypes of unit length, which theirs trains"),
    Row("dinov2", "still prototypes", None, "", "still without moments, theirs by a rate of 0"),
    Row("dinov2", "clipping", None, "", "clip 3 of all together, theirs of backbone and head apart"),
    Row("dinov2", "rate of patches", None, "", "patches move at the full rate, theirs at a fifth"),
    Row("dinov2", "neighbours", None, "", "Neighbours of KoLeo are of the global batch, theirs of one GPU"),
    Row("dinov2", "masks", None, "", "each image is masked by chance, theirs half of them exactly"),
    Row("dinov2", "initial mask token", None, "", "the mask token starts at N(0, 0.02), theirs at 0"),
    Row(
        "msn", "which tokens are dropped", None, "", "Each image has a mask of its own, theirs one for all of a process"
    ),
    Row("vicreg", "biases of the projector", None, "", "no biases that a batch norm takes out again"),
    Row("msn", "batch norm", None, "", "batch norm is of one view at a time, theirs of all small ones together"),
    Row("msn", "schedules", None, "", "Schedules end with training, theirs are cut at 80%"),
    Row("msn", "warmup", None, "", "warmup starts at 0, theirs at a fifth of the rate"),
    Row("msn", "initial patches", None, "", "patches start as DINO embeds them, theirs at N(0, 2 / inputs)"),
    Row(
        "densecl",
        "initial weights of the necks",
        lambda: measured.xavier(2048, 2048) / 0.01 - 1,
        "relative difference of their deviation",
        "Necks start xavier-uniform, theirs N(0, 0.01)",
    ),
    *(
        Row(recipe, "shuffled batches", None, "", "batch norm over the global batch stands for their shuffled batches")
        for recipe in ("densecl", "moco_v1", "moco_v2")
    ),
    Row("deit_iii", "lambda", None, "", "lambda is drawn for each image, theirs for each batch"),
    Row("deit_iii", "stochastic depth", None, "", "stochastic depth grows with the block"),
    Row("deit_iii", "repeated augmentation", None, "", "no repeated augmentation"),
    Row("vqkd", "teacher", None, "", "the teacher, for theirs is CLIP, is trained on categories in a stage before"),
    Row("vqkd", "decoder", None, "", "a decoder without class token and positions, which starts xavier-uniform"),
    Row("vqkd", "bias of the keys", None, "", "a bias of keys"),
    Row(
        "vqkd",
        "start of k-means",
        None,
        "",
        "k-means starts from rows that are evenly spaced along a random direction, theirs drawn",
    ),
    Row("beit", "tokenizer", None, "", "codes of a tokenizer that is trained on the pixels in a stage before"),
    Row("clip", "captions that repeat", None, "", "captions that repeat count once"),
    Row("clip", "tokens", None, "", "bytes as tokens"),
    Row(
        "clip",
        "norms of the text",
        measured.epsilon,
        "largest difference of a normalised feature",
        "Text norms with eps",
    ),
    Row(
        "clip",
        "initial image projection",
        lambda: measured.cut_off() - 1,
        "relative difference of its deviation",
        "the image projection starts at truncated N(0, 1 / width)",
    ),
)
