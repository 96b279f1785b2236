"""Whole recipes: one or two objectives that share views and encoders, training, and evaluations."""

from __future__ import annotations

from hypothesis import strategies as st

from m3i_dsl.driver import check_file
from m3i_dsl.semantics.program import Program
from m3i_dsl.source import SourceFile
from m3i_dsl.testing.strategies.objectives import NAMES, Parts, declarations, objective, sizes


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """The text of a recipe without errors. Shrinks to one objective with one target."""
    parts = Parts(draw(sizes()))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True))
    objectives = [draw(objective(parts, name)) for name in names[: draw(st.integers(1, 2))]]
    lines = ["m3i 1", f"recipe {names[0]}", "", *declarations(parts.views, parts.encoders)]
    lines += ["", *objectives, draw(_train()), ""]
    texts = any("text embedding" in text for text in objectives)
    lines.append(draw(_evaluate(texts)))
    return "\n".join(lines) + "\n"


def programs() -> st.SearchStrategy[Program]:
    """The checked programs of `recipes`. They print as their text does not: prefer `recipes` where the text helps."""
    return recipes().map(lambda text: check_file(SourceFile("drawn.m3i", text)).required())


@st.composite
def _train(draw: st.DrawFn) -> str:
    length = draw(
        st.sampled_from(("epochs 10", "epochs 2.5, warmup 10%", "steps 400k, warmup 5", "samples 50M, warmup 1 epochs"))
    )
    optimizer = draw(
        st.sampled_from(
            (
                "adamw(lr: 1.5e-4 per 256, betas: (0.9, 0.95))",
                "adamw(0.001, layer_decay: 0.65)",
                "lars(lr: 0.3 per 256)",
                "sgd(lr: 0.1)",
                "lamb(lr: 2e-3)",
            )
        )
    )
    lines = ["train {", f"batch {draw(st.sampled_from((64, 128, 256)))}", length, f"optimizer {optimizer}"]
    options = ("schedule linear", "schedule multistep(at: (60%, 87.3%))", "precision bf16", "seed 7", "clip 0.5")
    lines += draw(st.lists(st.sampled_from(options), max_size=4, unique_by=lambda line: line.split()[0]))
    return "\n".join([*lines, "}"])


@st.composite
def _evaluate(draw: st.DrawFn, texts: bool) -> str:
    kinds: tuple[str, ...] = ("knn every 5 epochs", "knn(k: 5) at end", "linear at end")
    lines = [str(line) for line in draw(st.lists(st.sampled_from(kinds), unique=True))]
    if texts and draw(st.booleans()):
        lines.append('zero_shot(prompts: "a {}") at end')
    return "\n".join(["evaluate {", *lines, "}"]) if lines else ""
