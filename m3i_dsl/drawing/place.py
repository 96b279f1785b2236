"""How high each box stands: arrows as straight as the boxes let them be.

Takes: an ordered `Layered`, and the height of each vertex. Gives: the vertical middle of each vertex. Guarantees: in
every layer the gaps between neighbours are kept, and no target's boxes reach into another's lane; what is joined by a
chain without a fork is on one line.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from m3i_dsl.drawing.layers import Layered

GAP = 20.0
"""Between two boxes."""
PASSAGE_GAP = 13.0
"""Between a box and an arrow that passes, or two arrows."""
ROW_GAP = 14.0
"""Between the boxes of one target."""
LANE_PADDING = 10.0
LANE_LABEL = 15.0
LANE_GAP = 10.0
FOLLOW_GAP = 44.0
"""Between an encoder and its average: room for the label of the arrow."""

NEARLY = 12.0
"""An arrow that would climb less is made straight if there is room."""

ROUNDS = 400
PULL = 0.3
GROUP_PULL = 4.0
"""How much more the arrows within a target pull than others: a target is compact."""

Constraint = tuple[int, int, float]
"""(above, below, least distance of their middles)."""


def place(layers: Layered, heights: Sequence[float]) -> list[int]:
    """The middle of each vertex, the topmost edge of a box or lane at about 0."""
    blocks = _blocks(layers)
    constraints = _constraints(layers, heights)
    constraints = _strictest([(blocks[above], blocks[below], least) for above, below, least in constraints])
    ends: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for source, target in layers.segments():
        a, b = blocks[source], blocks[target]
        if a != b:
            within = layers.vertices[source].group is not None and layers.vertices[target].group is not None
            pull = GROUP_PULL if within else 1.0
            ends[a].append((b, pull))
            ends[b].append((a, pull))
    middles = {block: 0.0 for block in sorted(set(blocks))}
    order = _topological(middles, constraints)
    _push_down(order, middles, constraints)
    for round_ in range(ROUNDS):
        wanted = {
            block: sum(middles[other] * pull for other, pull in near) / sum(pull for _, pull in near)
            for block, near in ends.items()
        }
        pull = PULL * (1 - round_ / ROUNDS) + 0.02
        for block, at in wanted.items():
            middles[block] += pull * (at - middles[block])
        _separate(middles, constraints)
    _straighten(layers, blocks, middles, constraints)
    rounded = {block: float(round(middle)) for block, middle in middles.items()}
    _push_down(order, rounded, constraints)
    return [int(rounded[block]) for block in blocks]


def _blocks(layers: Layered) -> list[int]:
    """The block of each vertex: those joined by a segment that is the only one of both its ends, if none crosses it."""
    segments = layers.segments()
    leaving: dict[int, int] = defaultdict(int)
    arriving: dict[int, int] = defaultdict(int)
    for source, target in segments:
        leaving[source] += 1
        arriving[target] += 1
    position = {vertex: index for layer in layers.layers for index, vertex in enumerate(layer)}
    block = list(range(len(layers.vertices)))
    kept: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for source, target in sorted(segments, key=lambda step: layers.vertices[step[0]].layer):
        layer = layers.vertices[source].layer
        crossed = any((position[a] - position[source]) * (position[b] - position[target]) < 0 for a, b in kept[layer])
        if leaving[source] == 1 and arriving[target] == 1 and not crossed:
            kept[layer].append((source, target))
            block[target] = block[source]
    return block


def _constraints(layers: Layered, heights: Sequence[float]) -> list[Constraint]:
    followers = {frozenset(pair) for pair in layers.followers}
    found: list[Constraint] = []

    def least(above: int, below: int, gap: float) -> None:
        found.append((above, below, float(math.ceil((heights[above] + heights[below]) / 2 + gap))))

    for layer in layers.layers:
        for above, below in pairwise(layer):
            first, second = layers.vertices[above], layers.vertices[below]
            if first.group is not None and first.group == second.group:
                least(above, below, ROW_GAP)
            elif first.node is None or second.node is None:
                least(above, below, PASSAGE_GAP)
            else:
                least(above, below, FOLLOW_GAP if frozenset((above, below)) in followers else GAP)
    members: dict[int, list[int]] = defaultdict(list)
    for index, vertex in enumerate(layers.vertices):
        if vertex.group is not None:
            members[vertex.group].append(index)
    for group in sorted(members)[:-1]:
        for above in members[group]:
            for below in members[group + 1]:
                least(above, below, 2 * LANE_PADDING + LANE_LABEL + LANE_GAP)
    return found


def _strictest(constraints: list[Constraint]) -> list[Constraint]:
    strictest: dict[tuple[int, int], float] = {}
    for above, below, least in constraints:
        strictest[above, below] = max(least, strictest.get((above, below), 0.0))
    return [(above, below, least) for (above, below), least in strictest.items()]


def _separate(middles: dict[int, float], constraints: list[Constraint]) -> None:
    """Pushes both of each pair that is too close apart, by half of what lacks."""
    for above, below, least in constraints:
        lacks = least - (middles[below] - middles[above])
        if lacks > 0:
            middles[above] -= lacks / 2
            middles[below] += lacks / 2


def _straighten(layers: Layered, blocks: list[int], middles: dict[int, float], constraints: list[Constraint]) -> None:
    """Moves a block onto the line of another when an arrow between them climbs a little, and there is room."""
    settled: set[int] = set()
    for source, target in layers.segments():
        a, b = blocks[source], blocks[target]
        if a == b or abs(middles[a] - middles[b]) > NEARLY or layers.vertices[target].group is not None:
            continue
        for moved, still in ((a, b), (b, a)):
            if moved not in settled:
                before = middles[moved]
                middles[moved] = middles[still]
                if all(middles[y] - middles[x] >= least for x, y, least in constraints if moved in (x, y)):
                    settled |= {a, b}
                    break
                middles[moved] = before


def _topological(blocks: Mapping[int, float], constraints: list[Constraint]) -> list[int]:
    """The blocks so that each comes after those above it. Kept chains do not cross, so there is no cycle."""
    above: dict[int, int] = defaultdict(int)
    below: dict[int, list[int]] = defaultdict(list)
    for upper, lower, _ in constraints:
        above[lower] += 1
        below[upper].append(lower)
    free = [block for block in blocks if not above[block]]
    for block in free:
        for lower in below[block]:
            above[lower] -= 1
            if not above[lower]:
                free.append(lower)
    assert len(free) == len(blocks), "the order of the layers has a cycle"
    return free


def _push_down(order: list[int], middles: dict[int, float], constraints: list[Constraint]) -> None:
    """Moves blocks down, the topmost first, until every constraint holds."""
    needed: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for above, below, least in constraints:
        needed[below].append((above, least))
    for block in order:
        for above, least in needed[block]:
            middles[block] = max(middles[block], middles[above] + least)
