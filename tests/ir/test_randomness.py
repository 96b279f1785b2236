"""What a change of a recipe does to the random numbers of the rest: each line of SPEC's table "Randomness"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from m3i_dsl.data.stream import Stream
from m3i_dsl.driver import check_file
from m3i_dsl.ir.build import build
from m3i_dsl.source import SourceFile

TARGET = """  target pixels {
    data           VIEW
    representation dense pixels
    predictor      decoder(layers: 1, heads: 3)
    regularization none
    distribution   gaussian(tokens: hidden)
  }
"""


def objective(name: str, view: str, mask: str) -> str:
    target = TARGET.replace("VIEW", view)
    return f"objective {name} {{\n  input masked {view} by {mask}\n  represent dense feature of image\n{target}}}\n"


ENCODER = 'encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 1, heads: 3)\n'
DATA = 'data digits = embedded("digits")\n'
VIEW1 = "view view1 of digits.image = crop(32px, scale: 40%..100%) | jitter(p: 80%)\n"
VIEW2 = "view view2 of digits.image = crop(32px, scale: 40%..100%)\n"
FIRST = objective("one", "view1", "random(50%)")
TRAIN = "train {\n  batch 8\n  epochs 1\n  optimizer adamw(lr: 1e-3)\n  seed 3\n}\n"
RECIPE = f"m3i 1\nrecipe r\n{DATA}{VIEW1}{VIEW2}{ENCODER}{FIRST}{TRAIN}"


def batch(text: str, step: int = 0) -> dict[str, Tensor]:
    program = check_file(SourceFile("r.m3i", text)).required()
    inputs = [input_.source for input_ in build(program).inputs]
    return Stream(program, inputs, base=Path()).batch_at(step).inputs


def changed(old: str, new: str, of: str = RECIPE) -> dict[str, Tensor]:
    assert old in of
    return batch(of.replace(old, new))


def same(name: str, first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return torch.equal(first[name], second[name])


def test_another_argument_reads_the_same_numbers() -> None:
    dropped = batch(RECIPE)
    assert dropped["view1_mask"].sum() == 8 * 8
    assert same("view1_mask", dropped, changed("random(50%)", "random(50%, tokens: mask)"))
    more = changed("random(50%)", "random(75%)")["view1_mask"]
    assert more[dropped["view1_mask"]].all() and more.sum() > dropped["view1_mask"].sum()
    weaker = changed("jitter(p: 80%)", "jitter(p: 0%)")
    plain = changed(" | jitter(p: 80%)", "")
    assert same("view1", weaker, plain), "the box of the crop is not drawn anew"


def test_another_step_leaves_the_others() -> None:
    """Geometry says which box and which flip were drawn."""
    other = objective("one", "view1", "random(50%)").replace(
        "decoder(layers: 1, heads: 3)", "decoder(layers: 1, heads: 3, position: relative)"
    )
    other = other.replace("data           view1", "data           view2").replace("(tokens: hidden)", "")
    placed = RECIPE.replace(FIRST, other)
    before, after = batch(placed), batch(placed.replace(" | jitter(p: 80%)", " | jitter(p: 80%) | solarize(p: 50%)"))
    assert same("view1_geometry", before, after) and same("view1_mask", before, after)
    assert same("view2", before, after)


def test_another_view_encoder_target_or_objective_leaves_the_others() -> None:
    before = batch(RECIPE)
    second = objective("two", "view2", "random(50%)")
    additions: list[Callable[[str], str]] = [
        lambda text: text.replace(VIEW1, f"view view0 of digits.image = crop(32px)\n{VIEW1}"),
        lambda text: text.replace(FIRST, FIRST + second),
        lambda text: text.replace(FIRST, second + FIRST),
        lambda text: text.replace(ENCODER, ENCODER + ENCODER.replace("image =", "spare =")).replace(
            FIRST, objective("zero", "view2", "random(50%)").replace("of image", "of spare") + FIRST
        ),
    ]
    for added in additions:
        after = batch(added(RECIPE))
        assert same("view1", before, after)
        mask = next(name for name in after if name.startswith("view1_mask"))
        assert torch.equal(before["view1_mask"], after[mask])


def test_a_second_mask_of_a_view_is_drawn_by_itself() -> None:
    second = changed(FIRST, FIRST + objective("two", "view1", "random(50%, tokens: mask)"))
    assert same("view1_mask", batch(RECIPE), second)
    assert not torch.equal(second["view1_mask"], second["view1_mask1"])
    shared = changed(FIRST, FIRST + objective("two", "view1", "random(50%)"))
    assert [name for name in shared if "mask" in name] == ["view1_mask"], "an equal mask is the same one"


def test_order_means_nothing_but_for_the_numbers_of_masks() -> None:
    before = batch(RECIPE)
    after = changed(VIEW1 + VIEW2, VIEW2 + VIEW1)
    assert same("view1", before, after) and same("view1_mask", before, after)
    two = objective("two", "view1", "blocks(50%, minimum: 2)")
    forth, back = changed(FIRST, FIRST + two), changed(FIRST, two + FIRST)
    assert same("view1", forth, back) and not torch.equal(forth["view1_mask"], back["view1_mask1"])


def test_another_source_of_a_mixture_leaves_the_samples_of_the_others() -> None:
    sources = 'data a = embedded("digits")\ndata b = embedded("digits")\n'
    mixed = RECIPE.replace(DATA, f"{sources}data digits = mixture(a: 50%, b: 50%)\n")
    more = mixed.replace("mixture(a: 50%, b: 50%)", "mixture(a: 50%, b: 25%, c: 25%)").replace(
        "data digits", 'data c = embedded("digits")\ndata digits'
    )
    rows = {}
    for text in (mixed, more):
        program = check_file(SourceFile("r.m3i", text)).required()
        pattern = program.mixtures["digits"].pattern
        chosen = [row for first, end in pattern.chosen(["a"]) for row in range(first, end)]
        whole = [start + row for start in range(0, 8, pattern.period) for row in chosen]
        made = batch(text)
        rows[text] = made["view1"][whole], made["view1_mask"][whole]
    (pixels, masks), (more_pixels, more_masks) = rows[mixed], rows[more]
    assert torch.equal(masks, more_masks) and torch.equal(pixels, more_pixels)
    assert len(pixels) == 4


def test_names_of_views_are_places_and_others_mean_nothing() -> None:
    before = batch(RECIPE)
    renamed = changed("view1", "other")
    assert not torch.equal(before["view1_mask"], renamed["other_mask"])
    assert not torch.equal(before["view1"], renamed["other"])
    names = (("objective one", "objective uno"), ("target pixels", "target dots"), ("recipe r\n", "recipe s\n"))
    for old, new in names:
        after = changed(old, new)
        assert same("view1", before, after) and same("view1_mask", before, after)


def test_the_mask_of_a_mix_stands_at_its_first_view() -> None:
    mix = "mix(masked view1 of first, masked view1 of second, by: random(50%))"
    text = RECIPE.replace("masked view1 by random(50%)", mix).replace("data view1", "data view1 of first")
    text = text.replace("data           view1", "data           view1 of first")
    before = batch(text)
    assert same("view1_mask", before, batch(text.replace("objective one", "objective uno")))
    assert same("view1_mask", before, batch(text.replace("by: random(50%)", "by: random(50%), context: all")))


def test_another_seed_draws_all_anew() -> None:
    before, after = batch(RECIPE), changed("seed 3", "seed 4")
    assert not same("view1", before, after) and not same("view1_mask", before, after)
