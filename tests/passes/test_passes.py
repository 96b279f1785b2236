"""What each pass makes of a small graph, in the text of the IR."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from m3i_dsl.ir.graph import Graph
from m3i_dsl.ir.text import read, write
from m3i_dsl.passes import PIPELINE, UnknownPass, optimize, passes_named
from m3i_dsl.passes.cancelled_pairs import cancelled_pairs
from m3i_dsl.passes.common_subexpressions import common_subexpressions
from m3i_dsl.passes.dead_code import dead_code
from m3i_dsl.passes.fused_calls import fused_calls
from m3i_dsl.passes.fused_heads import fused_heads
from m3i_dsl.passes.needed_tokens import needed_tokens
from m3i_dsl.passes.one_correlation import one_correlation
from m3i_dsl.passes.shared_queries import shared_queries
from m3i_dsl.passes.visible_patches import visible_patches

VIT = 'timm(model: "vit_tiny_patch16_224", image: 32px, patch: 8px, width: 36, depth: 2, heads: 3{more})'
SHAPE = "{width: 36, prefix: 1, rows: 4, columns: 4, of: none, moves: trained, weights: none}"
HEADER = f"""ir 3
recipe r
module encoders.image = {VIT.format(more="")} {SHAPE}  # r.m3i:1:1
module encoders.noisy = {VIT.format(more=", drop_path: 10%")} {SHAPE}  # r.m3i:1:1
module predictors.head = linear {{input_width: 36, output_width: 192}}  # r.m3i:1:1
module projectors.image = mlp(layers: 2, width: 36) {{input_width: 36, output_width: 36}}  # r.m3i:1:1
module projectors.coupled = mlp(layers: 2, width: 36, norm: batch) {{input_width: 36, output_width: 36}}  # r.m3i:1:1
module predictors.deep = decoder(layers: 1, heads: 3) {{input_width: 36, output_width: 36}}  # r.m3i:1:1
module predictors.coupled = decoder(layers: 1, heads: 3, norm: batch) {{input_width: 36, output_width: 36, \
prefix: 1, rows: 4, columns: 4, target_rows: 4, target_columns: 4, wanted: 16, sources: 1}}  # r.m3i:1:1
module predictors.two = decoder(layers: 2, heads: 3, position: relative) {{input_width: 36, output_width: 36, \
prefix: 1, rows: 4, columns: 4, target_rows: 4, target_columns: 4, wanted: 16, sources: 1}}  # r.m3i:1:1
module likelihoods.loss = gaussian {{width: 36, queue: 0, tokens: 8, standardized: true}}  # r.m3i:1:1
module penalties.off = decorrelation {{}}  # r.m3i:1:1
input %a: f32[B, 3, 32, 32] = view(view: a)
input %b: f32[B, 3, 32, 32] = view(view: b)
input %c: f32[B, 17, 36] = view(view: c)
input %d: f32[B, 17, 36] = view(view: d)
input %g: f32[B, 6] = geometry(view: a)
input %h: f32[B, 6] = geometry(view: b)
input %m: bool[B, 16] = mask(view: a, mask: random(50%), rows: 4, columns: 4, stride: 8, slot: "s", objectives: r)
"""
AT = (
    "prefix: 1, rows: 4, columns: 4, target_rows: 4, target_columns: 4, count: 16, "
    "needed: false, shared: false, prefixed: false"
)
ENCODE = "{module: image, tokens: all, visible: 16, taps: 0, embed: all}"


def graph(text: str) -> Graph:
    """Short lines: `1: B,17,36 = encode(%a, none, none) {...}`; outputs as `name = %1`."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        line = line.strip()
        if re.match(r"\d", line):
            results, _, right = line.partition(" = ")
            typed = ", ".join(f"%{n}: f32[{s}]" for n, s in (part.split(": ") for part in results.split("; ")))
            lines.append(f"{typed.replace('f32[!', 'bool[')} = {right}  # r.m3i:1:1")
        else:
            lines.append(f"output {line}")
    return read(HEADER + "\n".join(lines))


def after(pass_: Callable[[Graph, int], Graph], text: str, batch: int = 8) -> str:
    """The equations after a pass, without types, attributes and places."""
    written = write(pass_(graph(text), batch)).splitlines()
    short = (line.partition("  # ")[0] for line in written if line.startswith(("%", "output")))
    return "\n".join(re.sub(r": (f32|bool)\[[^\]]*\]| \{.*\}", "", line) for line in short)


def test_pairs_cancel() -> None:
    assert (
        after(
            cancelled_pairs,
            """
        0: !B, 16 = invert(%m)
        1: !B, 16 = invert(%0)
        2: B, 17, 36 = encode(%a, %1, none) {module: image, tokens: mask, visible: 16, taps: 0, embed: all}
        loss = %2""",
        )
        == "%0 = invert(%m)\n%1 = encode(%a, %m, none)\noutput loss = %1"
    )


def test_equal_calls_are_one_but_random_ones_are_not() -> None:
    noisy = ENCODE.replace("image", "noisy")
    assert after(
        common_subexpressions,
        f"""
        0: B, 17, 36 = encode(%a, none, none) {ENCODE}
        1: B, 17, 36 = encode(%a, none, none) {ENCODE}
        2: B, 17, 36 = encode(%b, none, none) {ENCODE}
        3: B, 17, 36 = encode(%a, none, none) {noisy}
        4: B, 17, 36 = encode(%a, none, none) {noisy}
        x = %1
        y = %4""",
    ) == (
        "%0 = encode(%a, none, none)\n%1 = encode(%b, none, none)\n%2 = encode(%a, none, none)\n"
        "%3 = encode(%a, none, none)\noutput x = %0\noutput y = %3"
    )


def test_a_call_with_taps_serves_one_without() -> None:
    tapped = ENCODE.replace("taps: 0", "taps: 2")
    assert (
        after(
            common_subexpressions,
            f"""
        0: B, 17, 36 = encode(%a, none, none) {ENCODE}
        1: B, 17, 36; 2: B, 2, 17, 36 = encode(%a, none, none) {tapped}
        x = %0
        y = %2""",
        )
        == "%0, %1 = encode(%a, none, none)\noutput x = %0\noutput y = %1"
    )


def test_what_only_monitors_read_is_not_computed() -> None:
    noisy = ENCODE.replace("image", "noisy")
    assert after(
        dead_code,
        f"""
        0: B, 17, 36 = encode(%a, none, none) {ENCODE}
        1: B, 17, 36 = encode(%b, none, none) {ENCODE}
        2: B, 17, 36 = encode(%b, none, none) {noisy}
        loss = %0
        representations/r/input = %0
        representations/r.t/target = %1""",
    ) == (
        "%0 = encode(%a, none, none)\n%1 = encode(%b, none, none)\noutput loss = %0\n"
        "output representations/r/input = %0"
    ), "a random call stays: it moves the generator"
    assert [
        i.value.name for i in dead_code(graph(f"0: B, 17, 36 = encode(%a, none, none) {ENCODE}\nloss = %0")).inputs
    ] == ["a"]


def test_heads_see_the_needed_tokens() -> None:
    text = """
        0: B, 17, 36 = encode(%a, %m, none) {module: image, tokens: mask, visible: 16, taps: 0, embed: all}
        1: B, 17, 192 = predict(%0) {module: head}
        2: B, 16, 192 = patches(%1) {prefix: 1}
        3: B, 8, 192 = gather(%2, %m) {count: 8, prefix: 0}
        loss = %3"""
    moved = "%0 = encode(%a, %m, none)\n%1 = patches(%0)\n%2 = gather(%1, %m)\n%3 = predict(%2)\noutput loss = %3"
    assert after(needed_tokens, text) == moved
    full = text + "\n        representations/all = %1"
    assert "%1 = predict(%0)" in after(needed_tokens, full), "someone reads all predictions"


def test_decoders_end_with_the_wanted_positions() -> None:
    made = needed_tokens(
        graph("""
        0: B, 17, 36 = encode(%a, none, none) {module: image, tokens: all, visible: 16, taps: 0, embed: all}
        1: B, 16, 36 = predict_at(%0, none, none, none, none, none) \
{module: deep, prefix: 1, rows: 4, columns: 4, target_rows: 4, \
target_columns: 4, count: 16, needed: false, shared: false, prefixed: false}
        loss = %1""")
    )
    assert made.equations[1].attribute("needed") is True


def test_mask_tokens_are_projected_once_where_their_positions_are_those_of_all_samples() -> None:
    call = f"{{module: two, {AT}}}"
    made = shared_queries(
        graph(f"""
        0: B, 17, 36 = encode(%a, none, none) {ENCODE}
        1: B, 16, 36 = predict_at(%0, none, none, none, none, none) {call}
        2: B, 16, 36 = predict_at(%0, none, none, none, %g, %h) {call}
        3: B, 16, 36 = predict_at(%0, none, none, none, none, none) {call.replace("two", "deep")}
        4: B, 16, 36 = predict_at(%0, none, none, none, none, none) {call.replace("two", "coupled")}
        x = %1
        y = %2
        z = %3
        w = %4""")
    )
    assert [e.attribute("shared") for e in made.equations[1:]] == [True, False, True, False]


def test_dropped_patches_are_not_embedded() -> None:
    made = visible_patches(
        graph(f"""
        0: B, 9, 36 = encode(%a, %m, none) {{module: image, tokens: drop, visible: 8, taps: 0, embed: all}}
        1: B, 17, 36 = encode(%a, %m, none) {{module: image, tokens: mask, visible: 16, taps: 0, embed: all}}
        2: B, 17, 36 = encode(%a, none, none) {ENCODE}
        x = %0
        y = %1
        z = %2""")
    )
    assert [e.attribute("embed") for e in made.equations] == ["visible", "all", "all"]


def test_both_terms_read_one_correlation() -> None:
    assert after(
        one_correlation,
        """
        0: B, 36 = pool(%a) {prefix: 1, mode: mean}
        1: B, 36 = pool(%b) {prefix: 1, mode: mean}
        2:  = compare(%0, %1) {module: loss}
        3:  = penalty(%0, %1) {module: off}
        4:  = penalty(%1, %0) {module: off}
        loss = %2""",
    ) == (
        "%0 = pool(%a)\n%1 = pool(%b)\n%2 = correlation(%0, %1)\n%3 = compare(%0, %1, %2)\n"
        "%4 = penalty(%0, %1, %2)\n%5 = penalty(%1, %0)\noutput loss = %3"
    )


def test_small_calls_are_one() -> None:
    text = f"""
        0: B, 17, 36 = encode(%a, none, none) {ENCODE}
        1: B, 3, 32, 32 = partner(%b)
        2: B, 17, 36 = encode(%1, none, none) {ENCODE}
        x = %0
        y = %2"""
    assert after(fused_calls, text) == (
        "%0 = partner(%b)\n%1 = concat(%a, %0)\n%2 = encode(%1, none, none)\n%3, %4 = split(%2)\n"
        "output x = %3\noutput y = %4"
    )
    assert "concat" not in after(fused_calls, text, batch=4096), "a large call gains nothing"
    assert "concat" not in after(fused_calls, text.replace("image", "noisy")), "random numbers are drawn per call"
    chained = text.replace("partner(%b)", "blend(%b, %a, %m) {rows: 4, columns: 4}")
    assert "concat" in after(fused_calls, chained)


def test_small_heads_are_one() -> None:
    """Heads on heads too: what was joined for the first is not split and joined again for the second."""
    predict = "{module: head}"
    text = f"""
        0: B, 36 = pool(%a) {{prefix: 1, mode: mean}}
        1: B, 36 = project(%0) {{module: image}}
        2: B, 192 = predict(%1) {predict}
        3: B, 36 = pool(%b) {{prefix: 1, mode: mean}}
        4: B, 36 = project(%3) {{module: image}}
        5: B, 192 = predict(%4) {predict}
        x = %2
        y = %5"""
    text = text.replace("%a", "%c").replace("%b", "%d")
    assert after(fused_heads, text) == (
        "%0 = pool(%c)\n%1 = pool(%d)\n%2 = concat(%0, %1)\n%3 = project(%2)\n"
        "%4 = predict(%3)\n%5, %6 = split(%4)\noutput x = %5\noutput y = %6"
    )
    monitored = after(fused_heads, text + "\n        z = %4")
    assert "%4, %5 = split(%3)\n%6 = predict(%3)" in monitored, "what is read of a head by itself stays"
    assert "concat" not in after(fused_heads, text, batch=4096), "a large call gains nothing"
    coupled = after(fused_heads, text.replace("module: image", "module: coupled"))
    assert coupled.count("project") == 2, "batch norm looks at the whole batch of a call"


def test_passes_have_names_and_an_order() -> None:
    names = [pass_.name for pass_ in PIPELINE]
    assert len(set(names)) == len(names)
    assert [p.name for p in passes_named(["dead-code", "cancelled-pairs"])] == ["cancelled-pairs", "dead-code"]
    with pytest.raises(UnknownPass) as fault:
        passes_named(["deadcode"])
    assert fault.value.near == ["dead-code"]
    none = graph(f"0: B, 17, 36 = encode(%a, none, none) {ENCODE}\nloss = %0")
    assert optimize(none, 8, ()) is none
