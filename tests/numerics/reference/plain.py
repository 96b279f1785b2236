"""What the references share, written out by hand: a ViT, a decoder, positions, normalisations.

Nothing of the package is imported. A reference is `loss(parts, batch) -> scalar`.

`parts` is a namespace; each reference uses some of
    vit, average          online and averaged timm VisionTransformer (`average` is the f_phi of all target features), or
                          functions of the image that give tokens, with num_prefix_tokens and patch_embed.patch_size
    mask_token            [D], replaces hidden patches where tokens are not dropped
    projector, average_projector    modules on tokens or the pooled vector, `nn.Identity()` where a recipe has none
    predictor             module on features, tokens or pooled
    decoder, decoder_intra, decoder_inter    with context.embed, mask_token, relative, blocks, norm, out
    table                 class table or table of codes: weight [C, E], bias [C] or None
    average_parts         the projector of a tokenizer: functions, and last a codebook (reference/codes.py)
    text, text_projection modules: tokens [B, T] -> [B, W] -> [B, E]
    temperature or log_inverse_temperature   a number, or the trained log(1 / temperature)
    label_smoothing       share of a label spread over all categories
    weight                of the only target, where a reference says so
    weights or s          of the targets of an objective: numbers, or the trained log sigma^2 [K]
    queue, dense_queue    [A, E], past keys
    center, target_temperature    of a target over prototypes: the running mean [K] of its scores; a number
    centers               of several such targets, by name
    embedding, average_embedding, prototypes    of a head with prototypes: its unit vectors before them; [K, E]
An objective of several targets leaves their losses in `parts.losses`.
`batch` is a dict of view1, view2 [B, 3, H, W]; hidden bool [B, L], True = hidden (in a mix: taken from the partner), of
several masks hidden_view1 and hidden_view2;
geometry1, geometry2 [B, 6]; labels [B]; tokens [B, T].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Parts = SimpleNamespace
Batch = dict[str, Tensor]


def pick(x: Tensor, which: Tensor) -> Tensor:
    """Of each row of x [B, L, D] the tokens at which `which` [B, L] is True."""
    return torch.stack([row[chosen] for row, chosen in zip(x, which, strict=True)])


def partner(x: Tensor) -> Tensor:
    """Rows 0, 1, 2, 3, ... become 1, 0, 3, 2, ..."""
    return x[[row + 1 if row % 2 == 0 else row - 1 for row in range(len(x))]]


def attend(x: Tensor, qkv: nn.Linear, out: nn.Linear, heads: int, *, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for each head; causal: over the tokens up to the own one."""
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv(x).chunk(3, dim=-1))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(diagonal=1)
        scores = scores.masked_fill(later, -math.inf)
    return out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


def vit_blocks(
    vit: Any, image: Tensor, *, drop: Tensor | None = None, mask: Tensor | None = None, mask_token: Tensor | None = None
) -> list[Tensor]:
    """Outputs of all blocks: [B, prefix + N, D] each. `drop` removes hidden tokens, `mask` replaces them."""
    x = vit.patch_embed.proj(image).flatten(2).transpose(1, 2)
    if mask is not None:
        assert mask_token is not None
        x = torch.where(mask.unsqueeze(-1), mask_token, x)
    if hasattr(vit, "rel_pos_bias"):
        assert drop is None
        return beit_blocks(vit, x)
    positions = vit.pos_embed.expand(len(x), -1, -1)
    prefix, own = vit.num_prefix_tokens, positions.shape[1] - vit.patch_embed.num_patches  # own: of prefix tokens
    x = x + resampled(positions[:, own:], math.isqrt(x.shape[1]))
    if drop is not None:
        x = pick(x, ~drop)
    if prefix:
        first = vit.cls_token.expand(len(x), -1, -1)
        x = torch.cat([first + positions[:, :own] if own else first, x], dim=1)
    x = vit.norm_pre(x)  # a layer norm in CLIP, nothing in others
    outputs: list[Tensor] = []
    for block in vit.blocks:
        x = x + scale(block.ls1) * attend(block.norm1(x), block.attn.qkv, block.attn.proj, block.attn.num_heads)
        x = x + scale(block.ls2) * block.mlp.fc2(activation(block.mlp.act)(block.mlp.fc1(block.norm2(x))))
        outputs.append(x)
    return outputs


def beit_blocks(beit: Any, patches: Tensor) -> list[Tensor]:
    """As `vit_blocks`, of a BEiT: no absolute places, a bias b[h, i, j] on the scores, queries and values with biases,
    keys without (unilm: beit/modeling_finetune.py).
    """
    x = torch.cat([beit.cls_token.expand(len(patches), -1, -1), patches], dim=1)
    shared = beit.rel_pos_bias
    outputs: list[Tensor] = []
    for block in beit.blocks:
        attention = block.attn
        table = (attention if shared is None else shared).relative_position_bias_table
        joint = torch.cat([attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias])
        qkv = block.norm1(x) @ attention.qkv.weight.T + joint
        q, k, v = (part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + relative_bias(table, math.isqrt(patches.shape[1]))
        attended = attention.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
        one, two = (1.0, 1.0) if block.gamma_1 is None else (block.gamma_1, block.gamma_2)
        x = x + one * attended
        x = x + two * block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
        outputs.append(x)
    return outputs


def relative_bias(table: Tensor, side: int) -> Tensor:
    """b[h, i, j] of a query i and a key j: a row for each difference of places, row-major, then three for the class
    token: as a query, as a key, as both.
    """
    cells = [(row, column) for row in range(side) for column in range(side)]
    last, span = len(table), 2 * side - 1
    grid = [[(r1 - r2 + side - 1) * span + c1 - c2 + side - 1 for r2, c2 in cells] for r1, c1 in cells]
    rows = [[last - 1] + [last - 3] * len(cells)] + [[last - 2, *row] for row in grid]
    return table[torch.tensor(rows)].permute(2, 0, 1)


def resampled(positions: Tensor, side: int) -> Tensor:
    """[B, side^2, D]: positions [B, L, D] of a square grid at the cells of another one (DINO's small crops)."""
    before = math.isqrt(positions.shape[1])
    if before == side:
        return positions
    cells = positions.unflatten(1, (before, before)).movedim(-1, 1)
    return F.interpolate(cells, size=(side, side), mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


def activation(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """GELU, or CLIP's x sigmoid(1.702 x)."""
    if type(layer).__name__ == "QuickGELU":
        return lambda x: x * torch.sigmoid(1.702 * x)
    return F.gelu


def scale(layer: Any) -> Tensor | float:
    """The factor of a layer scale, 1 without one."""
    return layer.gamma if hasattr(layer, "gamma") else 1.0


def vit_tokens(vit: Any, image: Tensor, **options: Tensor | None) -> Tensor:
    """[B, prefix + N, D] after the final norm."""
    if not hasattr(vit, "blocks"):
        assert not options, "only a ViT can drop or mask tokens here"
        return vit(image)
    return vit.norm(vit_blocks(vit, image, **options)[-1])


def patch_tokens(vit: Any, image: Tensor, **options: Tensor | None) -> Tensor:
    """[B, N, D]: without prefix tokens."""
    return vit_tokens(vit, image, **options)[:, vit.num_prefix_tokens :]


def projected_patches(vit: Any, projector: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """[B, L, E]: all tokens through the projector, then without prefix tokens."""
    return projector(vit_tokens(vit, image))[:, vit.num_prefix_tokens :]


def gap(vit: Any, image: Tensor, **options: Tensor | None) -> Tensor:
    """[B, D]: the mean of the patch tokens that went in."""
    return patch_tokens(vit, image, **options).mean(dim=1)


def waves(x: Tensor, count: int) -> Tensor:
    """[..., 2 count]: sin and cos of x / 10000^(k / count)."""
    angles = torch.stack([x / 10000 ** (k / count) for k in range(count)], dim=-1)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def sincos_table(side: int, width: int, like: Tensor) -> Tensor:
    """[side^2, width]: waves of the row, then of the column."""
    cells = [(row, column) for row in range(side) for column in range(side)]
    row, column = (torch.tensor(values, dtype=like.dtype) for values in zip(*cells, strict=True))
    return torch.cat([waves(row, width // 4), waves(column, width // 4)], dim=-1)


def relative_waves(geometry_x: Tensor, geometry_y: Tensor, side: int, width: int) -> Tensor:
    """[B, side^2, 2 width]: where the patches of y are in x, and how large, patch by patch (SiameseIM)."""
    rows = []
    for (i1, j1, h1, w1, flip1, W), (i2, j2, h2, w2, flip2, _) in zip(geometry_x, geometry_y, strict=True):
        for r in range(side):
            for c in range(side):
                gh = h2 / h1 * (r + 0.5) + (i2 - i1) / h1 * side - 0.5
                if flip1 == flip2:
                    gw = w2 / w1 * (c + 0.5) + (j2 - j1) / w1 * side - 0.5
                else:
                    gw = -w2 / w1 * (c + 0.5) + (W - j1 - j2) / w1 * side - 0.5
                four = (gh, gw, 10 * torch.log(h2 / h1), 10 * torch.log(w2 / w1))
                rows.append(torch.cat([waves(value, width // 4) for value in four]))
    return torch.stack(rows).reshape(len(geometry_x), side * side, 2 * width)


def decode(
    decoder: Any,
    tokens: Tensor,
    prefix: int,
    side: int,
    *,
    hidden: Tensor | None = None,
    asked: Tensor | None = None,
    geometries: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """[B, asked, E]: mask tokens at the asked positions (all if None) attend to the tokens that were not hidden."""
    width = decoder.mask_token.shape[-1]
    table = sincos_table(side, width, tokens).expand(len(tokens), -1, -1)
    context = decoder.context.embed(tokens)
    seen = table if hidden is None else pick(table, ~hidden)
    context = torch.cat([context[:, :prefix], context[:, prefix:] + seen], dim=1)
    if decoder.relative is not None:
        same = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 1.0], dtype=tokens.dtype).expand(len(tokens), -1)
        table = decoder.relative(relative_waves(*(geometries or (same, same)), side, width))
    queries = decoder.mask_token + table
    x = torch.cat([context, queries if asked is None else pick(queries, asked)], dim=1)
    for block in decoder.blocks:
        x = x + attend(block.norm1(x), block.attention.qkv, block.attention.out, block.attention.heads)
        x = x + block.mlp(block.norm2(x))
    return decoder.out(decoder.norm(x)[:, context.shape[1] :])


def side(vit: Any, image: Tensor) -> int:
    """Patches along an edge of the image."""
    return image.shape[-1] // vit.patch_embed.patch_size[0]


def patchify(image: Tensor, p: int) -> Tensor:
    """[B, L, 3 p^2]: patches in row-major order, values in the order (row, column, channel)."""
    rows = [
        image[:, :, top : top + p, left : left + p].permute(0, 2, 3, 1).flatten(1)
        for top in range(0, image.shape[2], p)
        for left in range(0, image.shape[3], p)
    ]
    return torch.stack(rows, dim=1)


def norm_pixels(patches: Tensor) -> Tensor:
    """Each patch with mean 0 and variance 1; the variance is the unbiased one (MAE)."""
    centred = patches - patches.mean(dim=-1, keepdim=True)
    variance = centred.square().sum(dim=-1, keepdim=True) / (patches.shape[-1] - 1)
    return centred / (variance + 1e-6).sqrt()


def ln0(x: Tensor) -> Tensor:
    """Layer norm over channels without affine; the variance is the biased one."""
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


def l2(x: Tensor) -> Tensor:
    """On the unit sphere."""
    return x / x.square().sum(dim=-1, keepdim=True).sqrt().clamp(min=1e-12)


def inverse_temperature(parts: Parts) -> Tensor | float:
    """1 / tau: a trained one is never more than 100."""
    if getattr(parts, "log_inverse_temperature", None) is not None:
        return parts.log_inverse_temperature.exp().clamp(max=100.0)
    return 1 / parts.temperature


def negative_log_softmax(logits: Tensor, label: int) -> Tensor:
    """-log of the softmax of logits [A] at `label`."""
    return torch.logsumexp(logits, dim=0) - logits[label]


def choose_own(prediction: Tensor, target: Tensor, scale: Tensor | float) -> Tensor:
    """InfoNCE in the batch: mean over rows n of -log softmax over all targets at target n."""
    rows = [negative_log_softmax(scale * target @ row, n) for n, row in enumerate(prediction)]
    return torch.stack(rows).mean()


def choose_category(prediction: Tensor, parts: Parts, labels: Tensor) -> Tensor:
    """Softmax classification: the candidates are all rows of the class table."""
    logits = prediction @ parts.table.weight.T
    if parts.table.bias is not None:
        logits = logits + parts.table.bias
    logits = inverse_temperature(parts) * logits
    smoothing, rows = getattr(parts, "label_smoothing", 0.0), []
    for row, label in zip(logits, labels, strict=True):
        each = torch.stack([negative_log_softmax(row, c) for c in range(len(row))])
        rows.append((1 - smoothing) * each[int(label)] + smoothing * each.mean())
    return torch.stack(rows).mean()


def choose_text(prediction: Tensor, texts: Tensor, tokens: Tensor, scale: Tensor | float, symmetric: bool) -> Tensor:
    """CLIP with each caption counted once: image n finds text n; if symmetric, text n also finds image n."""
    captions = [tuple(row.tolist()) for row in tokens]
    unique = list(dict.fromkeys(captions))
    candidates = torch.stack([texts[captions.index(caption)] for caption in unique])
    own = [unique.index(caption) for caption in captions]
    rows = [negative_log_softmax(scale * candidates @ row, own[n]) for n, row in enumerate(prediction)]
    loss = torch.stack(rows).mean()
    if not symmetric:
        return loss
    columns = []
    for n, caption in enumerate(captions):
        others = [m for m in range(len(captions)) if m == n or captions[m] != caption]
        columns.append(negative_log_softmax(scale * prediction[others] @ candidates[own[n]], others.index(n)))
    return (loss + torch.stack(columns).mean()) / 2


def weigh(losses: list[Tensor], families: list[str], parts: Parts) -> Tensor:
    """Several targets as one loss: with given weights, or as likelihoods with trained variances s = log sigma^2."""
    if getattr(parts, "s", None) is None:
        return torch.stack([w * loss for w, loss in zip(parts.weights, losses, strict=True)]).sum()
    s = parts.s.clamp(-4, 4)
    halves = [0.5 if family == "gaussian" else 1.0 for family in families]
    return torch.stack([half * torch.exp(-s[k]) * losses[k] + s[k] / 2 for k, half in enumerate(halves)]).sum()
