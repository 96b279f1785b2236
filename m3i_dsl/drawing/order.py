"""Who is above whom: as few crossings of arrows as can be found, and each encoder next to its average.

Takes: a `Layered`. Gives: the same with each layer sorted. Guarantees: targets stay in the recipe's order; the result
depends on the drawing alone. The method is that of Sugiyama et al. 1981: sort each layer by the mean position of its
neighbours in the layer before, to and fro, then swap neighbours while that helps.
"""

from __future__ import annotations

from collections import defaultdict

from m3i_dsl.drawing.layers import Layered

ROUNDS = 8
APART = 1.5
"""What one vertex between an encoder and its average costs, in crossings."""


def order(layers: Layered) -> None:
    """Sorts the layers of `layers` in place."""
    search = _Search(layers)
    best, kept = search.cost(), search.snapshot()
    start = search.snapshot()
    for backwards in (False, True):
        search.restore(start)
        for round_ in range(ROUNDS):
            search.sweep(backwards=(round_ % 2 == 0) == backwards)
            search.swap_neighbours()
            cost = search.cost()
            if cost < best:
                best, kept = cost, search.snapshot()
    search.restore(kept)


class _Search:
    """The state of a search over orders."""

    def __init__(self, layers: Layered) -> None:
        self.layered = layers
        self.layers = layers.layers
        self.between: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.before: dict[int, list[int]] = defaultdict(list)
        self.after: dict[int, list[int]] = defaultdict(list)
        for source, target in layers.segments():
            self.between[layers.vertices[source].layer].append((source, target))
            self.before[target].append(source)
            self.after[source].append(target)
        self.position: dict[int, int] = {}
        for index in range(len(self.layers)):
            self._number(index)

    def snapshot(self) -> list[list[int]]:
        return [list(layer) for layer in self.layers]

    def restore(self, snapshot: list[list[int]]) -> None:
        for index, layer in enumerate(snapshot):
            self.layers[index][:] = layer
            self._number(index)

    def _number(self, index: int) -> None:
        self.position.update({vertex: place for place, vertex in enumerate(self.layers[index])})

    def sweep(self, *, backwards: bool) -> None:
        """Sorts every layer by the mean position of its neighbours in the one before, or after if `backwards`."""
        neighbours = self.after if backwards else self.before
        indices = range(len(self.layers))
        for index in reversed(indices) if backwards else indices:
            keys: dict[int, tuple[int, float]] = {}
            for vertex in self.layers[index]:
                near = neighbours[vertex]
                mean = sum(self.position[other] for other in near) / len(near) if near else self.position[vertex]
                group = self.layered.vertices[vertex].group
                keys[vertex] = (-1 if group is None else group, mean)
            self.layers[index].sort(key=keys.__getitem__)
            self._number(index)

    def swap_neighbours(self) -> None:
        """Swaps two that are next to each other, anywhere, until no swap makes the picture better."""
        improved = True
        while improved:
            improved = False
            for index, layer in enumerate(self.layers):
                for place in range(len(layer) - 1):
                    above, below = (self.layered.vertices[vertex] for vertex in layer[place : place + 2])
                    if above.group != below.group:
                        continue
                    cost = self._cost_near(index)
                    self._swap(layer, place)
                    if self._cost_near(index) < cost:
                        improved = True
                    else:
                        self._swap(layer, place)

    def _swap(self, layer: list[int], place: int) -> None:
        layer[place], layer[place + 1] = layer[place + 1], layer[place]
        self.position[layer[place]], self.position[layer[place + 1]] = place, place + 1

    def cost(self) -> float:
        return sum(self._crossings(index) for index in range(len(self.layers))) + self._distance()

    def _cost_near(self, index: int) -> float:
        return self._crossings(index - 1) + self._crossings(index) + self._distance()

    def _crossings(self, index: int) -> int:
        """Crossings between a layer and the next."""
        ends = sorted((self.position[source], self.position[target]) for source, target in self.between[index])
        return sum(a[0] < b[0] and a[1] > b[1] for number, a in enumerate(ends) for b in ends[number + 1 :])

    def _distance(self) -> float:
        """How far averages and copies are from what they follow: the nearest run of each counts fully."""
        total = 0.0
        for source, target in self.layered.followers:
            total += APART * (abs(self.position[source] - self.position[target]) - 1)
        return total
