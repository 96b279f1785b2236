"""Decoders and heads, against hand-written forms of the same maths."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m3i_dsl.modules.positions import relative_embedding, sincos_2d
from m3i_dsl.vocabulary.kinds import Grid, Predictor, PredictorCall, PredictorShape, WordError
from m3i_dsl.vocabulary.predictors.attention_pool import AttentionPool
from m3i_dsl.vocabulary.predictors.blocks import Blocks
from m3i_dsl.vocabulary.predictors.conv_decoder import ConvDecoder
from m3i_dsl.vocabulary.predictors.decoder import Decoder
from m3i_dsl.vocabulary.predictors.identity import Identity
from m3i_dsl.vocabulary.predictors.linear import Linear
from m3i_dsl.vocabulary.predictors.mlp import Mlp
from m3i_dsl.vocabulary.predictors.necks import Necks
from m3i_dsl.vocabulary.predictors.prompting_decoder import PromptingDecoder

GRID = Grid(3, 4)
B, L, D, E = 2, 12, 16, 5


def built(word: Predictor, output: int = E, sources: int = 1) -> Any:
    torch.manual_seed(0)
    return word.build(PredictorShape(D, output, sources)).double()


def call(target: Grid | None = GRID, output: int = E) -> PredictorCall:
    return PredictorCall(D, output, GRID, target)


def at(count: int = L, grid: Grid = GRID, target: Grid = GRID) -> dict[str, int]:
    """Where the tokens of a call are: one prefix token, then those of `grid`; `count` are asked of `target`."""
    sides = {"rows": grid.rows, "columns": grid.columns, "target_rows": target.rows, "target_columns": target.columns}
    return {"prefix": 1, **sides, "count": count}


def normal(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hiding(count: int, seed: int = 2) -> Tensor:
    return torch.rand(B, L, generator=torch.Generator().manual_seed(seed)).argsort(dim=1) < count


def geometry() -> tuple[Tensor, Tensor]:
    x = torch.tensor([[10.0, 20, 60, 80, 0, 200], [5, 5, 50, 50, 1, 100]]).double()
    y = torch.tensor([[30.0, 10, 90, 40, 1, 200], [15, 0, 50, 70, 1, 100]]).double()
    return x, y


def attention(module: Any, queries: Tensor, context: Tensor) -> Tensor:
    """Multi-head attention of one sample, [Q, D] to [N, D], head by head."""
    width = queries.shape[-1]
    q, k, v = (
        x @ w.T + b
        for x, w, b in zip(
            (queries, context, context), module.qkv.weight.split(width), module.qkv.bias.split(width), strict=True
        )
    )
    size = width // module.heads
    heads: list[Tensor] = []
    for h in range(module.heads):
        part = slice(h * size, (h + 1) * size)
        weights = torch.softmax(q[:, part] @ k[:, part].T / size**0.5, dim=1)
        heads.append(weights @ v[:, part])
    return torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias


def block(module: Any, x: Tensor) -> Tensor:
    """A pre-norm block of one sample [N, D]."""
    normed = module.norm1(x)
    x = x + attention(module.attention, normed, normed)
    return x + module.mlp(module.norm2(x))


def decoder_reference(
    module: Any,
    features: Tensor,
    hidden: Tensor | None,
    wanted: Tensor | None,
    source: Tensor | None,
    query_positions: Tensor,
) -> Tensor:
    """One sample at a time: [B, wanted, E]."""
    prefix, width = 1, module.width
    table = sincos_2d(GRID, width, torch.float64)
    rows: list[Tensor] = []
    for n in range(B):
        visible = [p for p in range(L) if hidden is None or not hidden[n, p]]
        asked = [p for p in range(L) if wanted is None or wanted[n, p]]
        x = features[n] @ module.context.embed.weight.T + module.context.embed.bias
        tokens = [x[:prefix]]
        for index, position in enumerate(visible):
            token = x[prefix + index] + table[position]
            if source is not None:
                token = token + module.context.source[0 if source[n, position] else 1]
            tokens.append(token[None])
        queries = torch.stack([module.mask_token + query_positions[n, p] for p in asked])
        y = torch.cat([*tokens, queries])
        for part in module.blocks:
            y = block(part, y)
        rows.append(module.out(module.norm(y))[-len(asked) :])
    return torch.stack(rows)


@pytest.mark.parametrize("hide", [0, 7])
@pytest.mark.parametrize("ask", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_decoder_is_self_attention_over_context_and_mask_tokens(hide: int, ask: bool, mixed: bool) -> None:
    wanted = hiding(7, seed=3) if ask else None
    module = built(Decoder(2, 2, width=8), sources=2 if mixed else 1)
    place = at(7 if ask else L)
    hidden = hiding(hide) if hide else None
    source = hiding(6, seed=4) if mixed else None
    features = normal(B, 1 + L - hide, D)
    got = module(features, hidden, wanted, source, **place)
    positions = sincos_2d(GRID, 8, torch.float64).expand(B, -1, -1)
    torch.testing.assert_close(got, decoder_reference(module, features, hidden, wanted, source, positions))
    trimmed = module(features, hidden, wanted, source, **place, needed=True)
    torch.testing.assert_close(trimmed, got, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(_gradients(module, trimmed), _gradients(module, got), rtol=1e-10, atol=1e-13)
    for needed in (False, True):
        shared = module(features, hidden, wanted, source, **place, needed=needed, shared=True)
        torch.testing.assert_close(shared, got, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(_gradients(module, shared), _gradients(module, got), rtol=1e-10, atol=1e-13)


def _gradients(module: nn.Module, output: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(output.sin().sum(), [*module.parameters()], retain_graph=True))


def test_a_decoder_with_batch_norm_is_not_shortened() -> None:
    """Its statistics are over all tokens."""
    assert Decoder(1, 2).trims() and not Decoder(1, 2, norm="batch").trims()
    assert Decoder(2, 2).shares_queries() and not Decoder(2, 2, norm="batch").shares_queries()


def test_a_relative_decoder_places_its_queries_in_the_input_view() -> None:
    module = built(Decoder(1, 2, position="relative"))
    x, y = geometry()
    hidden, features = hiding(7), normal(B, 1 + L - 7, D)
    embedded = relative_embedding(x, y, GRID, GRID, D, x)
    positions = embedded @ module.relative.weight.T + module.relative.bias
    got = module(features, hidden, None, None, x, y, **at())
    torch.testing.assert_close(got, decoder_reference(module, features, hidden, None, None, positions))
    assert not torch.allclose(got, module(features, hidden, **at()))


def test_the_same_view_is_the_identity_geometry() -> None:
    module = built(Decoder(1, 2, position="relative"))
    x, _ = geometry()
    features = normal(B, 1 + L, D)
    torch.testing.assert_close(module(features, **at()), module(features, None, None, None, x, x, **at()))


def test_a_relative_decoder_takes_a_target_on_another_grid() -> None:
    module = built(Decoder(1, 2, position="relative"))
    x, y = geometry()
    place = at(4, target=Grid(2, 2))
    assert module(normal(B, 1 + L, D), None, None, None, x, y, **place).shape == (B, 4, E)
    with pytest.raises(WordError, match="target grid is 2x2"):
        Decoder(1, 2).check(call(Grid(2, 2)))


def test_one_decoder_is_called_on_several_grids() -> None:
    """A call is told where its tokens are: the module keeps nothing of an earlier one."""
    module, fresh = (built(Decoder(1, 2, position="relative")) for _ in range(2))
    x, y = geometry()
    whole, crop = normal(B, 1 + L, D), normal(B, 1 + 4, D, seed=5)
    first = module(whole, None, None, None, x, y, **at())
    second = module(crop, None, None, None, x, y, **at(grid=Grid(2, 2)))
    assert torch.equal(second, fresh(crop, None, None, None, x, y, **at(grid=Grid(2, 2))))
    assert torch.equal(first, module(whole, None, None, None, x, y, **at()))
    moved = module(crop, None, None, None, x, y, **at(grid=Grid(4, 1)))
    assert not torch.allclose(second, moved)


def test_decoders_do_not_depend_on_the_other_images_unless_they_use_batch_norm() -> None:
    features, changed = normal(B, 1 + L, D), normal(B, 1 + L, D)
    changed[1] += 1
    layer, batch = built(Decoder(1, 2)), built(Decoder(1, 2, norm="batch"))
    torch.testing.assert_close(layer(features, **at())[0], layer(changed, **at())[0])
    assert not torch.allclose(batch(features, **at())[0], batch(changed, **at())[0])
    assert Decoder(1, 2).effects_of() == frozenset() and len(Decoder(1, 2, norm="batch").effects_of()) == 2


def test_decoders_start_as_mae_does() -> None:
    torch.manual_seed(0)
    module: Any = Decoder(1, 2, width=64).build(PredictorShape(D, E))
    for part in module.modules():
        if isinstance(part, nn.Linear):
            bound = (6 / (part.in_features + part.out_features)) ** 0.5
            assert part.weight.abs().max() <= bound and part.weight.abs().max() > 0.8 * bound
            assert not part.bias.any()
    assert 0.01 < module.mask_token.std() < 0.03


@pytest.mark.parametrize("ask", [False, True])
def test_a_prompting_decoder_updates_mask_tokens_only(ask: bool) -> None:
    wanted = hiding(5, seed=3) if ask else None
    module = built(PromptingDecoder(2, 2, width=8))
    hidden, features = hiding(7), normal(B, 1 + L - 7, D)
    got = module(features, hidden, wanted, **at(5 if ask else L))
    table = sincos_2d(GRID, 8, torch.float64)
    for n in range(B):
        visible = [p for p in range(L) if not hidden[n, p]]
        holes = [p for p in range(L) if hidden[n, p]]
        context = module.context.embed(features[n])
        context = torch.cat([context[:1], context[1:] + table[visible]])
        queries = module.mask_token + table[holes]
        for part in module.blocks:
            normed = part.norm1(torch.cat([context, queries]))
            queries = queries + attention(part.attention, normed[len(context) :], normed)
            queries = queries + part.mlp(part.norm2(queries))
        full = torch.empty(L, 8, dtype=torch.float64)
        full[visible], full[holes] = context[1:], queries
        if wanted is not None:
            full = full[wanted[n]]
        torch.testing.assert_close(got[n], module.out(module.norm(full)))


def test_a_conv_decoder_fills_the_grid_and_convolves() -> None:
    module = built(ConvDecoder(2, width=8, groups=4, noise=0))
    hidden, features = hiding(7), normal(B, 1 + L - 7, D)
    got = module(features, hidden, **at())
    for n in range(B):
        grid = torch.zeros(L, D, dtype=torch.float64)
        grid[~hidden[n]] = features[n, 1:]
        x = grid.T.reshape(1, D, 3, 4)
        for index, convolution in enumerate(module.convolutions):
            y = convolution(x)
            y = (y - y.mean(1, keepdim=True)) / (y.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
            y = F.gelu(y)
            x = x + y if index else y  # the first changes the width, so it has no residual
        torch.testing.assert_close(got[n], module.out(x.reshape(8, L).T))
    wanted = hiding(5, seed=3)
    asked = module(features, hidden, wanted, **at(5))
    torch.testing.assert_close(asked, torch.stack([got[n][wanted[n]] for n in range(B)]))


def test_the_noise_of_a_conv_decoder_is_declared_and_has_its_spread() -> None:
    word = ConvDecoder(1, groups=4, noise=0.5)
    assert {effect.value for effect in word.effects_of()} == {"random"}
    module = built(word)
    full = module._full(normal(B, 5, D), hiding(7))
    assert 0.4 < full[hiding(7)].std() < 0.6
    assert torch.equal(full[~hiding(7)], normal(B, 5, D).flatten(0, 1))


@pytest.mark.parametrize("mixed", [False, True])
def test_attention_pool_asks_with_the_mean_of_the_own_tokens(mixed: bool) -> None:
    module = built(AttentionPool(heads=2))
    features, source = normal(B, 1 + L, D), hiding(5) if mixed else None
    got = module(features, source, prefix=1)
    for n in range(B):
        tokens = features[n, 1:] if source is None else features[n, 1:][source[n]]
        q = module.q(module.norm_q(tokens.mean(0)))
        k, v = module.k(module.norm_k(tokens)), module.v(module.norm_v(tokens))
        heads: list[Tensor] = []
        for part in (slice(0, 8), slice(8, 16)):
            heads.append(torch.softmax(k[:, part] @ q[part] / 8**0.5, dim=0) @ v[:, part])
        torch.testing.assert_close(got[n], module.out(torch.cat(heads)))


def test_mlps_express_the_published_heads() -> None:
    heads = {
        "MoCo v3 projector": Mlp(3, 8, "relu", "batch", "batch", bias=False, output_bias=False, width=E),
        "MoCo v3 predictor": Mlp(2, 8, "relu", "batch", "batch", bias=False, output_bias=False),
        "BYOL": Mlp(2, 8, "relu", "batch", output_bias=False),
        "Barlow Twins": Mlp(3, 8, "relu", "batch", bias=False, output_bias=False),
        "SimSiam projector": Mlp(3, 8, "relu", "batch", "batch", bias=False),
        "SimSiam predictor": Mlp(2, 8, "relu", "batch", bias=False),
        "MoCo v2": Mlp(2, 8, "relu"),
        "MSN": Mlp(3, 8, "gelu", "batch"),
    }
    text = {name: _layers(word) for name, word in heads.items()}
    assert text == {
        "MoCo v3 projector": "linear batch relu linear batch relu linear plain",
        "MoCo v3 predictor": "linear batch relu linear plain",
        "BYOL": "linear+b batch relu linear",
        "Barlow Twins": "linear batch relu linear batch relu linear",
        "SimSiam projector": "linear batch relu linear batch relu linear+b plain",
        "SimSiam predictor": "linear batch relu linear+b",
        "MoCo v2": "linear+b relu linear+b",
        "MSN": "linear+b batch gelu linear+b batch gelu linear+b",
    }


def _layers(word: Mlp) -> str:
    names: list[str] = []
    for part in built(word).layers:
        match part:
            case nn.Linear():
                names.append("linear" if part.bias is None else "linear+b")
            case nn.BatchNorm1d():
                names.append("batch" if part.affine else "plain")
            case _:
                names.append(type(part).__name__.lower())
    return " ".join(names)


def test_an_mlp_with_batch_norm_counts_tokens_as_rows() -> None:
    module = built(Mlp(2, 8, "relu", "batch", "batch", bias=False, output_bias=False))
    features = normal(B, L, D)
    got = module(features)
    x = features.reshape(-1, D) @ module.layers[0].weight.T
    x = ((x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()).relu()
    x = x @ module.layers[3].weight.T
    x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(got, x.reshape(B, L, E))
    pooled = module(features.mean(1))
    assert pooled.shape == (B, E)


def test_effects_of_an_mlp_are_those_of_its_norms() -> None:
    assert Mlp().effects_of() == frozenset() and Mlp(norm="layer").effects_of() == frozenset()
    assert Mlp(1, norm="batch").effects_of() == frozenset()
    assert {e.value for e in Mlp(norm="batch").effects_of()} == {"batch-coupled", "stateful"}
    assert Mlp(output_norm="batch").effects_of() == Mlp(norm="batch").effects_of()


def test_linear_and_identity_map_each_token() -> None:
    features = normal(B, L, D)
    linear = built(Linear())
    torch.testing.assert_close(linear(features), features @ linear.linear.weight.T)
    assert torch.equal(built(Identity(), D)(features), features)
    with pytest.raises(WordError, match="16 channels, and the target has 5"):
        Identity().check(call())


def test_blocks_project_and_then_attend() -> None:
    module = built(Blocks(2, 2), 8)
    features = normal(B, 1 + L, D)
    got = module(features)
    for n in range(B):
        x = module.linear(features[n])
        for part in module.blocks:
            x = block(part, x)
        torch.testing.assert_close(got[n], module.norm(x))
    pooled = features.mean(1)
    torch.testing.assert_close(module(pooled), module(pooled.unsqueeze(1)).squeeze(1))


@pytest.mark.parametrize(
    ("word", "of", "argument", "message"),
    [
        (Decoder(heads=3), call(), "heads", "3 heads do not divide 16 channels"),
        (Decoder(heads=2, width=6), call(), "width", "multiple of 4"),
        (Decoder(heads=2), call(None), None, "predicts a grid"),
        (PromptingDecoder(heads=2), call(Grid(2, 2)), None, "target grid"),
        (ConvDecoder(groups=3), call(), "groups", "3 groups do not divide 16 channels"),
        (ConvDecoder(groups=2, kernel=2), call(), "kernel", "even kernel"),
        (ConvDecoder(), call(None), None, "predicts a grid"),
        (AttentionPool(heads=2), call(), None, "target is dense"),
        (AttentionPool(heads=3), call(None), "heads", "3 heads"),
        (Blocks(heads=2), call(), "heads", "2 heads do not divide 5 channels"),
        (Necks(Blocks(heads=1), Mlp()), call(), "pooled", "`blocks` does not map each vector by itself"),
    ],
)
def test_what_cannot_be_built_is_said(word: Predictor, of: PredictorCall, argument: str | None, message: str) -> None:
    with pytest.raises(WordError, match=message) as caught:
        word.check(of)
    assert caught.value.argument == argument


def test_a_decoder_compiles_as_one_graph() -> None:
    """Counts are static, so a mask never breaks the graph."""
    module = built(Decoder(1, 2, position="relative"))
    x, y = geometry()
    arguments = (normal(B, 1 + L - 7, D), hiding(7), hiding(5, seed=3), None, x, y)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arguments, **at(5)), module(*arguments, **at(5)))
