"""The boxes of a drawing from data to encoders and projectors, each with the arrows into it.

Takes: a typed program, and what the wiring of its graph has a box for. Gives: `Boxes`. Guarantees: what is asked for
twice is there once; the wiring is the graph's, the program says how a declared thing is called and where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from m3i_dsl.drawing import labels
from m3i_dsl.drawing.model import Branch, Edge, EdgeKind, Node, NodeKind
from m3i_dsl.drawing.wiring import Origin, Wiring
from m3i_dsl.ir.graph import Equation, Value
from m3i_dsl.ir.inputs import FieldInput, MaskInput, TextMaskInput, ViewInput
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.semantics.program import AnyData, EncoderDeclaration, Objective, Program, TextField, View
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.kinds import Predictor
from m3i_dsl.vocabulary.values import ramp_text

Side = Literal["x", "y"]
"""What something is drawn for: the prediction, or the target."""


@dataclass(slots=True)
class Boxes:
    """Collects nodes by id."""

    program: Program
    wiring: Wiring
    whole: frozenset[str]
    """The lists of views that are never named in part: each is one box."""
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    edges: list[Edge] = field(default_factory=list[Edge])
    calls: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The runs of each encoder."""
    followed: dict[str, str] = field(default_factory=dict[str, str])
    """For a run of an average or a copy, the run of what it follows that the same objective made."""
    features: dict[str, str] = field(default_factory=dict[str, str])
    """z_x of each objective."""

    # --- nodes and edges ----------------------------------------------------------------------------------------------

    def node(
        self,
        id_: str,
        kind: NodeKind,
        branch: Branch,
        symbol: str,
        title: str,
        details: tuple[str, ...] = (),
        *,
        about: str = "",
        span: Span | None = None,
        group: str | None = None,
        count: int = 1,
    ) -> str:
        if id_ not in self.nodes:
            line = 0 if span is None else self.line(span)
            self.nodes[id_] = Node(id_, kind, branch, symbol, title, details, about, line, group, count)
        return id_

    def line(self, span: Span) -> int:
        """The line in the recipe itself, 0 for what is in a file that it uses."""
        return span.line if span.file.name == self.program.file.name else 0

    def edge(
        self, source: str, target: str, *, kind: EdgeKind = "flow", label: str = "", stop_gradient: bool = False
    ) -> None:
        edge = Edge(source, target, self.nodes[source].branch, kind, label, stop_gradient)
        if edge not in self.edges:
            self.edges.append(edge)

    # --- from data to encoders ----------------------------------------------------------------------------------------

    def data(self, name: str) -> str:
        """A source, or a mixture with an arrow from each of its sources."""
        if name in self.program.mixtures:
            mixture = self.program.mixtures[name]
            about, shares = mixture.text(), labels.mixture(mixture)
            id_ = self.node(f"data {name}", "mixture", "data", "", name, shares, about=about, span=mixture.span)
            for source in mixture.sources:
                self.edge(self.data(source.name), id_)
            return id_
        data = self.program.data[name]
        word = data.source.word
        about = word.text()
        return self.node(f"data {name}", "data", "data", "", name, labels.named(word), about=about, span=data.span)

    def view(self, view: View) -> str:
        steps = " | ".join(placed.word.text() for placed in view.transforms)
        name, count = view.name, 1
        if view.place is not None and view.place.name in self.whole:
            name, count = view.place.name, view.place.count
        details = labels.view(view, count)
        id_ = self.node(f"view {name}", "view", "data", "", name, details, about=steps, span=view.span, count=count)
        self.edge(self.data(view.data.name), id_)
        return id_

    def field(self, source: FieldInput) -> str:
        """A field that is no image, of the data that the input shows."""
        about = f"{source.data}.{source.field}"
        id_ = self.node(f"field {about}", "field", "data", "", source.field, about=about)
        # A field that some samples have comes from the sources that have it.
        data: AnyData = self.program.mixtures.get(source.data) or self.program.data[source.data]
        for each in (data,) if data.is_whole(source.field) else data.having(source.field):
            self.edge(self.data(each.name), id_)
        return id_

    def box(self, origin: Origin, objective: Objective, side: Side) -> str:
        """The node of something in the graph, with all that is before it. On the side of the prediction an encoder's
        run ends in z_x.
        """
        if isinstance(origin, ViewInput):
            return self.view(self.program.views[origin.view])
        if isinstance(origin, FieldInput):
            return self.field(origin)
        if origin.operation in ("blend", "mixed"):
            return self.mix(objective, origin)
        if OPERATIONS[origin.operation].section == "projectors":
            return self.projector(objective, origin, side)
        return self.features[objective.name] if side == "x" else self.call(objective, origin, side)

    def mix(self, objective: Objective, blend: Equation) -> str:
        assert objective.pairs_images is not None, "the graph has no mix of its own"
        word, span = objective.pairs_images.word, objective.settings["input"]
        id_ = self.node(
            f"mix {objective.name}", "mix", "data", "", word.name, word.details(), about=word.text(), span=span
        )
        shown: dict[str, list[str]] = {}
        for value, which in zip(blend.arguments, ("first", "second"), strict=False):
            for origin in self.wiring.feed(value).origins:
                shown.setdefault(self.box(origin, objective, "y"), []).append(which)
        for view, names in shown.items():
            self.edge(view, id_, label=", ".join(names))
        return id_

    def masked(self, objective: Objective, shown: str, hidden: Value) -> str:
        """What is left of node `shown` by the mask of an encoder's run."""
        source = self.wiring.source(hidden)
        assert isinstance(source, MaskInput | TextMaskInput), "what an encoder does not see is drawn by the data stage"
        name = source.view if isinstance(source, MaskInput) else source.field
        word, about = source.mask, source.mask.text()
        item = next(i for i in objective.inputs if i.view.name == name and i.mask and i.mask.word == word)
        count = self.nodes[shown].count
        id_ = self.node(
            f"mask {shown.removeprefix('view ').removeprefix('field ')} by {about}",
            "mask",
            "data",
            "",
            "mask",
            labels.mask(word),
            about=f"masked {self.nodes[shown].title} by {about}",
            span=item.mask and item.mask.span,
            count=count,
        )
        self.edge(shown, id_)
        return id_

    def call(self, objective: Objective, equation: Equation, side: Side) -> str:
        """One run of an encoder, or one for each view of a list."""
        encoder = self.program.encoders[str(equation.attribute("module"))]
        given, *rest = equation.arguments
        assert given is not None
        origins = self.wiring.feed(given).origins
        shown = [self.box(origin, objective, "y") for origin in origins]
        if rest and rest[0] is not None:
            shown = [self.masked(objective, node, rest[0]) for node in shown]
        id_ = f"call {encoder.name} on {' and '.join(shown)}"
        runs = self.calls.setdefault(encoder.name, [])
        if id_ not in runs:
            runs.append(id_)
            if encoder.of in self.calls:
                self.followed[id_] = self.calls[encoder.of][-1]
        self._encoder(id_, encoder, _image_size(given), self.nodes[shown[0]].count)
        for node in shown:
            if not any((edge.source, edge.target) == (node, id_) for edge in self.edges):
                self.edge(node, id_, label=side)
        return id_

    def _encoder(
        self, id_: str, encoder: EncoderDeclaration, size: tuple[int, int] | None = None, count: int = 1
    ) -> str:
        online = {objective.encoder.name for objective in self.program.objectives}
        symbol = "f_theta" if encoder.name in online else "f_phi"
        about = encoder.word.word.text()
        details = labels.encoder(encoder, size, count)
        branch, span = branch_of(encoder), encoder.span
        return self.node(id_, "call", branch, symbol, encoder.name, details, about=about, span=span, count=count)

    def projector(self, objective: Objective, equation: Equation, side: Side) -> str:
        """Features through the projector of an encoder."""
        encoder = self.program.encoders[str(equation.attribute("module"))]
        word = self.wiring.graph.module("projectors", encoder.name).as_a(Predictor)
        feed = self.wiring.before(equation)
        before = [self.box(origin, objective, side) for origin in feed.origins]
        pools = feed.pools()
        id_ = f"projector {encoder.name} {' '.join(pools) or 'dense'} on {' and '.join(before)}"
        symbol = "g_theta" if encoder.name == objective.encoder.name else "g_phi"
        details, about = labels.predictor(word, pools), word.text()
        branch, span = branch_of(encoder), encoder.span
        self.node(id_, "projector", branch, symbol, word.name, details, about=about, span=span)
        for node in before:
            self.edge(node, id_)
        return id_

    # --- parameters that follow ---------------------------------------------------------------------------------------

    def follow(self, total: str) -> None:
        """Arrows from an encoder to its averages and its frozen copies. The total stays the last node."""
        for name in list(self.calls):
            encoder = self.program.encoders[name]
            if encoder.of is None:
                continue
            if encoder.of not in self.calls:
                followed = self.program.encoders[encoder.of]
                self.calls[encoder.of] = [self._encoder(f"call {encoder.of}", followed)]
            kind: EdgeKind = "copy" if encoder.momentum is None else "average"
            label = "copy" if encoder.momentum is None else f"EMA {ramp_text(encoder.momentum)}"
            for run in self.calls[name]:
                self.edge(
                    self.followed.get(run, self.calls[encoder.of][0]),
                    run,
                    kind=kind,
                    label=label.replace("->", "\u2192"),
                )
        self.nodes[total] = self.nodes.pop(total)


def whole_lists(program: Program) -> frozenset[str]:
    """The lists of views of which every input and every target's data names all, under one mask, or none."""
    read: list[list[tuple[View | TextField, str]]] = []
    for objective in program.objectives:
        read.append([(item.view, "" if item.mask is None else item.mask.word.text()) for item in objective.inputs])
        for target in objective.targets:
            read.append([(item.view, "") for item in target.data if item.view is not None])
    found: dict[str, bool] = {}
    for views in read:
        places = [(view.place, mask) for view, mask in views if view.place is not None]
        for place, mask in places:
            whole = sum((other.name, under) == (place.name, mask) for other, under in places) == place.count
            found[place.name] = whole and found.get(place.name, True)
    return frozenset(name for name, whole in found.items() if whole)


def _image_size(image: Value) -> tuple[int, int] | None:
    """(height, width) of images [B, 3, H, W]; None for texts."""
    match image.type.dimensions:
        case (_, _, int(height), int(width)):
            return height, width
        case _:
            return None


def branch_of(encoder: EncoderDeclaration) -> Branch:
    """What an encoder and its values belong to."""
    if encoder.momentum is not None:
        return "average"
    if encoder.frozen:
        return "frozen"
    return "text" if encoder.word.word.as_text() is not None else "online"
