"""What words say of arguments that do not fit each other or their place, at the argument; and the nearest that fit.

Encoders are in tests/modules/test_timm_word.py, masks on grids in ui/semantics/geometry.
"""

from __future__ import annotations

import pytest

from m3i_dsl.driver import check_file
from m3i_dsl.source import SourceFile

RECIPE = """m3i 1
recipe words
data digits = DATA
view view1 of digits.image = VIEW
encoder image = timm("vit_tiny_patch16_224", image: 32px, patch: 8px, width: 48, depth: 2, heads: 3)
encoder words = TEXTS
COPY
objective o {
  input     INPUT
  represent dense feature of image
  target t {
    data           OF
    representation REPRESENTATION
    predictor      PREDICTOR
    regularization REGULARIZATION
    distribution   DISTRIBUTION
  }
}
train {
  batch     64
  epochs    10
  optimizer OPTIMIZER
  schedule  SCHEDULE
}
EVALUATE
"""

USUAL = {
    "DATA": 'embedded("digits")',
    "VIEW": "crop(32px)",
    "TEXTS": "transformer(width: 48, layers: 1, heads: 3)",
    "COPY": "",
    "INPUT": "view1",
    "OF": "category",
    "REPRESENTATION": "category embedding",
    "PREDICTOR": "linear",
    "REGULARIZATION": "negative categories",
    "DISTRIBUTION": "boltzmann",
    "OPTIMIZER": "adamw(lr: 1e-3)",
    "SCHEDULE": "cosine",
    "EVALUATE": "",
}

PIXELS = {
    "INPUT": "masked view1 by random(75%)",
    "OF": "view1",
    "REPRESENTATION": "dense pixels",
    "PREDICTOR": "decoder(layers: 1, heads: 3)",
    "REGULARIZATION": "none",
    "DISTRIBUTION": "gaussian",
}
VISIBLE = {**PIXELS, "INPUT": "masked view1 by random(75%, tokens: mask)"}
FEATURE = {
    "COPY": "encoder momentum = ema of image(0.99)",
    "OF": "view1",
    "REPRESENTATION": "global feature of momentum",
    "PREDICTOR": "mlp",
    "REGULARIZATION": "stop gradient + negative samples",
    "DISTRIBUTION": "boltzmann",
}
DISTILLED = {**FEATURE, "REGULARIZATION": "stop gradient", "DISTRIBUTION": "gaussian"}
FINER = {
    "COPY": 'encoder finer = timm("vit_tiny_patch16_224", image: 32px, patch: 4px, width: 48, depth: 2, heads: 3)\n'
    "encoder teacher = frozen of finer",
    "INPUT": "masked view1 by random(75%, tokens: mask)",
    "OF": "view1",
    "REPRESENTATION": "dense feature of teacher",
    "PREDICTOR": "decoder(heads: 3, position: relative)",
    "REGULARIZATION": "stop gradient",
    "DISTRIBUTION": "gaussian(tokens: all)",
}
"""A target of 8x8 tokens, and an input of 4x4."""
CAPTION = {"OF": "text", "REPRESENTATION": "text embedding of words", "REGULARIZATION": "negative texts"}


def faults(parts: dict[str, str]) -> list[tuple[str, str, str]]:
    """Code, place and message of each error."""
    text = RECIPE
    for place, value in {**USUAL, **parts}.items():
        text = text.replace(place, value)
    return [
        (found.code, found.span.text, found.message)
        for found in check_file(SourceFile("words.m3i", text)).diagnostics
        if found.severity.name == "ERROR"
    ]


@pytest.mark.parametrize(
    ("place", "written", "argument", "message"),
    [
        ("DATA", 'embedded("digit")', '"digit"', 'there is no embedded data "digit"'),
        ("DATA", 'torchvision("CIFAR10")', '"CIFAR10"', "torchvision reads `CIFAR10` with pickle"),
        ("DATA", 'torchvision("Digits")', '"Digits"', "there is no torchvision data `Digits`"),
        ("DATA", 'torchvision("MNIST", split: "valid")', '"valid"', "`MNIST` has the splits `train` and `test`"),
        ("DATA", 'folder("a", prompt: "a photo")', '"a photo"', "prompt `a photo` has no single place"),
        ("DATA", 'folder("a", prompt: "{} or {}")', '"{} or {}"', "prompt `{} or {}` has no single place"),
        ("DATA", 'folder("a", caption: true, prompt: "a {}")', '"a {}"', "`caption` and `prompt` both give"),
        ("DATA", 'folder("a", category: false, prompt: "a {}")', '"a {}"', "`prompt` needs categories"),
        ("DATA", 'tar("a.tar", caption: "a/b", category: "cls")', '"a/b"', '"a/b" names no member'),
        ("DATA", 'tar("a.tar", category: "a/b")', '"a/b"', '"a/b" names no member'),
        ("DATA", 'tar("a.tar", names: "a.txt")', '"a.txt"', "`names` needs categories"),
        ("VIEW", "crop(32px) | normalize(std: (1, 1))", "(1, 1)", "`std` of `normalize` has 2 numbers"),
        ("VIEW", "crop(32px) | normalize(std: (1, 0, 1))", "(1, 0, 1)", "`std` of `normalize` must be above 0"),
        ("VIEW", "crop(32px) | normalize | flip", "flip", "`flip` comes after `normalize`"),
        ("TEXTS", "transformer(width: 50, heads: 3)", "3", "3 heads do not divide 50 channels"),
        ("TEXTS", "transformer(tokenizer: file)", "file", "`tokenizer: file` needs a file"),
        ("TEXTS", 'transformer(file: "t.json")', '"t.json"', "`tokenizer: bytes` reads no file"),
        ("OPTIMIZER", "adamw(lr: 1e-3, betas: (0.9,))", "(0.9,)", "`betas` takes two numbers, not 1"),
        ("OPTIMIZER", "lamb(lr: 1e-3, betas: (0.9, 0.9, 0.9))", "(0.9, 0.9, 0.9)", "`betas` takes two numbers, not 3"),
        ("OPTIMIZER", "sgd(lr: 0.1, momentum: 0, nesterov: true)", "true", "`nesterov` needs a momentum above 0"),
        ("SCHEDULE", "multistep(at: (80%, 60%))", "(80%, 60%)", "the moments of `at` do not ascend"),
        ("SCHEDULE", "multistep(at: (60%, 60%))", "(60%, 60%)", "the moments of `at` do not ascend"),
    ],
)
def test_arguments_that_do_not_fit_each_other(place: str, written: str, argument: str, message: str) -> None:
    (found,) = [fault for fault in faults({place: written}) if fault[0] == "M3I0206"]
    assert found[1] == argument and found[2].startswith(message)


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("DATA", 'torchvision("MNIST", split: "test", test: "train")'),
        ("DATA", 'torchvision("Country211", split: "valid")'),
        ("DATA", 'folder("a", prompt: "a {}")'),
        ("DATA", 'tar("a.tar", caption: "json.label", category: "cls", names: "a.txt")'),
        ("VIEW", "crop(32px, scale: 50%..50%, ratio: 1..1) | three augment(sigma: 1..1) | blur(sigma: 1..1)"),
        ("VIEW", "crop(32px) | flip | normalize(mean: (0, 0, 0), std: (1, 1, 1))"),
        ("TEXTS", 'transformer(tokenizer: file, file: "t.json", width: 48, heads: 3)'),
        ("OPTIMIZER", "lamb(lr: 1e-3, betas: (0.9, 0.99))"),
        ("OPTIMIZER", "sgd(lr: 0.1, momentum: 0)"),
        ("OPTIMIZER", "sgd(lr: 0.1, nesterov: true)"),
        ("SCHEDULE", "multistep(at: (60%, 80%))"),
    ],
)
def test_arguments_that_fit_each_other(place: str, written: str) -> None:
    assert faults({place: written}) == []


@pytest.mark.parametrize(
    ("target", "place", "written", "code", "argument", "message"),
    [
        ({}, "PREDICTOR", "conv decoder", "M3I0206", "conv decoder", "`conv decoder` predicts a grid, and the target"),
        ({}, "PREDICTOR", "decoder(heads: 3)", "M3I0206", "decoder(heads: 3)", "`decoder` predicts a grid, and the"),
        ({}, "PREDICTOR", "attention pool(heads: 5)", "M3I0206", "5", "5 heads do not divide 48 channels"),
        (PIXELS, "PREDICTOR", "decoder(heads: 5)", "M3I0206", "5", "5 heads do not divide 48 channels"),
        (PIXELS, "PREDICTOR", "decoder(width: 6, heads: 3)", "M3I0206", "6", "positions need a width"),
        (VISIBLE, "PREDICTOR", "conv decoder(groups: 5)", "M3I0206", "5", "5 groups do not divide 48 channels"),
        (VISIBLE, "PREDICTOR", "conv decoder(width: 51, groups: 16)", "M3I0206", "16", "16 groups do not divide 51"),
        (VISIBLE, "PREDICTOR", "conv decoder(kernel: 4)", "M3I0206", "4", "an even kernel would shift the grid"),
        (VISIBLE, "PREDICTOR", "attention pool(heads: 3)", "M3I0206", "attention pool(heads: 3)", ""),
        (FINER, "PREDICTOR", "conv decoder", "M3I0206", "conv decoder", "the target grid is 8x8, the input grid 4x4"),
        (FINER, "PREDICTOR", "decoder(position: absolute, heads: 3)", "M3I0206", "absolute", "the target grid is 8x8"),
        (
            FINER,
            "PREDICTOR",
            "prompting decoder(heads: 3)",
            "M3I0206",
            "prompting decoder(heads: 3)",
            "the target grid is 8x8, the input grid 4x4",
        ),
        (DISTILLED, "PREDICTOR", "blocks(heads: 5)", "M3I0206", "5", "5 heads do not divide 48 channels"),
        (CAPTION, "DISTRIBUTION", "boltzmann(label_smoothing: 10%)", "M3I0304", "10%", "`label_smoothing` spreads"),
        ({}, "DISTRIBUTION", "boltzmann(symmetric: true)", "M3I0304", "true", "`symmetric` asks each candidate"),
        (DISTILLED, "DISTRIBUTION", "bernoulli", "M3I0304", "bernoulli", "`bernoulli` is a yes or no"),
    ],
)
def test_words_that_do_not_fit_their_target(
    target: dict[str, str], place: str, written: str, code: str, argument: str, message: str
) -> None:
    (found,) = faults({**target, place: written})
    assert found[:2] == (code, argument) and found[2].startswith(message)


@pytest.mark.parametrize(
    ("target", "place", "written"),
    [
        ({}, "PREDICTOR", "attention pool(heads: 3)"),
        ({}, "DISTRIBUTION", "boltzmann(label_smoothing: 10%)"),
        ({}, "DISTRIBUTION", "boltzmann(temperature: learned 0.07)"),
        ({}, "DISTRIBUTION", "bernoulli"),
        (CAPTION, "EVALUATE", 'evaluate { zero_shot(prompts: "a {} | the {}") at end }'),
        (FEATURE, "DISTRIBUTION", "boltzmann(symmetric: true)"),
        (CAPTION, "DISTRIBUTION", "boltzmann(symmetric: true)"),
        (PIXELS, "PREDICTOR", "decoder(width: 12, heads: 3)"),
        (VISIBLE, "PREDICTOR", "conv decoder(groups: 3, kernel: 5)"),
        (FINER, "PREDICTOR", "decoder(position: relative, heads: 3)"),
        (PIXELS, "PREDICTOR", "prompting decoder(heads: 3)"),
        (DISTILLED, "PREDICTOR", "blocks(heads: 3)"),
        ({**DISTILLED, "INPUT": "masked view1 by random(75%, tokens: mask)"}, "PREDICTOR", "identity"),
    ],
)
def test_words_that_fit_their_target(target: dict[str, str], place: str, written: str) -> None:
    assert faults({**target, place: written}) == []


def test_a_mixture_is_opened_source_by_source() -> None:
    from pathlib import Path

    from m3i_dsl.vocabulary.kinds import WordError
    from m3i_dsl.vocabulary.sources.mixture import MixtureOf

    for opening in (MixtureOf().open, MixtureOf().describe):
        with pytest.raises(WordError, match="a mixture is of other data"):
            opening(Path())
