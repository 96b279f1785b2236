"""A pass with a fault in it is caught: by the harness, on some recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest

from m3i_dsl.driver import Compiled
from m3i_dsl.ir.graph import Equation, Graph
from m3i_dsl.passes import common_subexpressions, dead_code, fused_calls, fused_heads, needed_tokens, one_correlation
from m3i_dsl.passes.rewriting import rebuilt, renamed
from m3i_dsl.testing.comparison import Disagreement
from m3i_dsl.testing.equivalence import assert_equivalent, observe
from tests.numerics.recipes import BATCH, batch_at, compile_text, compiled, fresh, lowered
from tests.passes.recipes import DRAWN_TWICE, SIAMESE, STOCHASTIC


def differ(of: Compiled, before: Graph, after: Graph) -> None:
    """Fails unless the harness tells the two graphs apart."""
    assert after != before, "the fault did nothing"
    one, other = (fresh(lowered(of, graph)) for graph in (before, after))
    batch = batch_at(of.program, one)
    with pytest.raises(Disagreement):
        assert_equivalent(observe(one, batch), observe(other, batch))


def same(of: Compiled, before: Graph, after: Graph) -> None:
    one, other = (fresh(lowered(of, graph)) for graph in (before, after))
    batch = batch_at(of.program, one)
    assert_equivalent(observe(one, batch), observe(other, batch))


def without(graph: Graph, operation: str) -> Graph:
    """The graph in which `operation` hands on its argument."""
    values = {e.results[0].name: e.arguments[0] for e in graph.equations if e.operation == operation}
    kept = [renamed(e, {k: v for k, v in values.items() if v}) for e in graph.equations if e.operation != operation]
    return rebuilt(graph, kept, {k: v for k, v in values.items() if v})


def test_a_lost_stop_gradient() -> None:
    of = compile_text(SIAMESE)
    differ(of, of.plain, without(of.plain, "stop_gradient"))


def test_random_calls_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls with stochastic depth on the same view, as a graph may have them, are two draws."""
    of = compile_text(STOCHASTIC)
    twice = _called_twice(of.plain, "noisy")
    kept = common_subexpressions.common_subexpressions(twice)
    assert _calls(kept, "noisy") == _calls(twice, "noisy") == 2
    same(of, twice, kept)
    _blind(monkeypatch, common_subexpressions)
    differ(of, twice, common_subexpressions.common_subexpressions(twice))


def test_the_definition_of_a_representation_makes_random_calls_one() -> None:
    """Both targets read the same z_x: an encoder that draws random numbers draws them once."""
    of = compile_text(STOCHASTIC)
    assert (_calls(of.plain, "noisy"), _calls(of.plain, "target")) == (1, 2)
    assert _calls(of.graph, "noisy") == 1
    same(of, of.plain, of.graph)


def test_a_dead_random_call_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    of = compile_text(STOCHASTIC)
    unread = _called_twice(of.plain, "noisy", read=False)
    assert _calls(dead_code.dead_code(unread), "noisy") == 2
    _blind(monkeypatch, dead_code)
    differ(of, unread, dead_code.dead_code(unread))


def test_random_calls_change_places() -> None:
    of = compile_text(DRAWN_TWICE)
    first, second = [i for i, e in enumerate(of.plain.equations) if e.operation == "encode"]
    equations = [*of.plain.equations]
    equations[first], equations[second] = equations[second], equations[first]
    differ(of, of.plain, replace(of.plain, equations=tuple(equations)))


def test_calls_are_fused_through_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    of = compiled("m3i_digits")
    plain = common_subexpressions.common_subexpressions(of.plain)
    same(of, plain, fused_calls.fused_calls(plain, BATCH))
    monkeypatch.setattr(fused_calls, "treats_samples_alone", lambda *_: True)
    differ(of, plain, fused_calls.fused_calls(plain, BATCH))


def test_heads_are_fused_through_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    of = compiled("byol")
    same(of, of.plain, fused_heads.fused_heads(of.plain, BATCH))
    monkeypatch.setattr(fused_heads, "treats_samples_alone", lambda *_: True)
    differ(of, of.plain, fused_heads.fused_heads(of.plain, BATCH))


def test_fused_calls_are_split_in_another_order() -> None:
    of = compiled("moco_v3")
    assert any(e.operation == "split" for e in of.graph.equations)
    differ(of, of.graph, _edited(of.graph, "concat", lambda e: replace(e, arguments=e.arguments[::-1])))


def test_a_projector_of_blocks_sees_the_needed_tokens_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks attend to all tokens: the class token is needed though nothing is compared with it."""
    of = compiled("siamese_im")
    monkeypatch.setattr(needed_tokens, "_works_per_token", lambda equation, _: equation.operation == "project")
    differ(of, of.plain, needed_tokens.needed_tokens(of.plain))


def test_queries_are_shared_though_each_sample_has_its_own_positions() -> None:
    """The target is another view: where its patches are depends on both crops."""
    of = compiled("siamese_im")
    assert all(e.attribute("shared") is False for e in of.graph.equations if e.operation == "predict_at")
    with pytest.raises(ValueError, match="with geometry each sample's positions are its own"):
        differ(of, of.plain, _edited(of.plain, "predict_at", lambda e: e.with_attribute("shared", True)))


def test_the_correlation_of_other_values() -> None:
    of = compiled("barlow_twins")
    shared = one_correlation.one_correlation(of.plain)
    swapped = _edited(shared, "correlation", lambda e: replace(e, arguments=(e.arguments[0], e.arguments[0])))
    differ(of, shared, swapped)


def test_other_tokens_are_predicted() -> None:
    of = compiled("simmim")
    differ(of, of.graph, _with_masks_of_partners(of.graph))


def test_views_are_taken_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    of = compiled("moco_v3")
    key = common_subexpressions._key
    monkeypatch.setattr(
        common_subexpressions, "_key", lambda e: key(replace(e, arguments=()) if e.operation == "encode" else e)
    )
    differ(of, of.plain, common_subexpressions.common_subexpressions(of.plain))


# --- faults -----------------------------------------------------------------------------------------------------------


def _blind(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    monkeypatch.setattr(module, "is_observable", lambda *_: False)


def _calls(graph: Graph, encoder: str) -> int:
    return sum(e.operation == "encode" and e.attribute("module") == encoder for e in graph.equations)


def _called_twice(graph: Graph, encoder: str, *, read: bool = True) -> Graph:
    """The call of `encoder` once more, right after it; later equations read the second if `read`."""
    place, call = next(
        (i, e) for i, e in enumerate(graph.equations) if e.operation == "encode" and e.attribute("module") == encoder
    )
    again = replace(call, results=tuple(replace(value, name=f"{value.name}_again") for value in call.results))
    later = list(graph.equations[place + 1 :])
    if read:
        values = dict(zip((value.name for value in call.results), again.results, strict=True))
        half = len(later) // 2
        later = [*later[:half], *(renamed(e, values) for e in later[half:])]
    return rebuilt(graph, (*graph.equations[: place + 1], again, *later))


def _edited(graph: Graph, operation: str, edit: Callable[[Equation], Equation]) -> Graph:
    return replace(graph, equations=tuple(edit(e) if e.operation == operation else e for e in graph.equations))


def _with_masks_of_partners(graph: Graph) -> Graph:
    """The last choice of tokens is made by the mask of the neighbouring image."""
    place, choice = [(i, e) for i, e in enumerate(graph.equations) if e.operation == "gather"][-1]
    features, mask = choice.arguments
    assert mask is not None
    other = replace(mask, name="other")
    partner = Equation((other,), "partner", (mask,), (), choice.place)
    wrong = replace(choice, arguments=(features, other))
    return rebuilt(graph, (*graph.equations[:place], partner, wrong, *graph.equations[place + 1 :]))
