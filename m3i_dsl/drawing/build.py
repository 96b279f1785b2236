"""From the typed program to its drawing.

Takes: a checked `Program`. Gives: a `Drawing` with everything that a step computes from data to the total loss.
Guarantees: nodes are in the order of the recipe; what two rows share (a view, a masked input, an encoder's run on it,
a projection) is one node with an arrow for each; what no objective reads is not drawn. Each row is drawn forward: a
symmetric objective has a note for its swapped half.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from m3i_dsl.drawing import labels
from m3i_dsl.drawing.model import Branch, Drawing, Edge, EdgeKind, Group, Kind, Node
from m3i_dsl.semantics.program import EncoderDeclaration, Objective, Program, Target, TargetReference, View
from m3i_dsl.source import Span
from m3i_dsl.vocabulary.representations.category_embedding import CategoryEmbedding
from m3i_dsl.vocabulary.representations.dense_pixels import DensePixels
from m3i_dsl.vocabulary.representations.text_embedding import TextEmbedding
from m3i_dsl.vocabulary.values import number_text, ramp_text


def draw(program: Program) -> Drawing:
    """The drawing of `program`."""
    builder = _Builder(program, whole=_whole_lists(program))
    total = builder.objectives()
    builder.follow(total)
    notes = tuple(
        f"{objective.name} is symmetric: each loss is the sum of the one drawn and of its mirror image, in which "
        f"input and target view are swapped"
        for objective in program.objectives
        if objective.symmetric
    )
    notes += tuple(
        f"{objective.name} has several inputs: each is encoded by itself and predicts the targets of all other views; "
        f"a loss is the mean over these pairs"
        for objective in program.objectives
        if objective.several
    )
    return Drawing(program.name, tuple(builder.nodes.values()), tuple(builder.edges), tuple(builder.groups), notes)


@dataclass(slots=True)
class _Builder:
    """Collects nodes by id, so that what is asked for twice is there once."""

    program: Program
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    edges: list[Edge] = field(default_factory=list[Edge])
    groups: list[Group] = field(default_factory=list[Group])
    calls: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The runs of each encoder."""
    followed: dict[str, str] = field(default_factory=dict[str, str])
    """For a run of an average or a copy, the run of what it follows that the same objective made."""
    whole: frozenset[str] = frozenset()
    """The lists of views that are never named in part: each is one box."""

    # --- nodes and edges ----------------------------------------------------------------------------------------------

    def node(
        self,
        id_: str,
        kind: Kind,
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
        return self.node(f"data {name}", "data", "data", "", name, labels.source(word), about=about, span=data.span)

    def view(self, view: View) -> str:
        steps = " | ".join(placed.word.text() for placed in view.transforms)
        name, count = view.name, 1
        if view.place is not None and view.place.name in self.whole:
            name, count = view.place.name, view.place.count
        details = labels.view(view, count)
        id_ = self.node(f"view {name}", "view", "data", "", name, details, about=steps, span=view.span, count=count)
        self.edge(self.data(view.data.name), id_)
        return id_

    def field(self, objective: Objective, reference: TargetReference) -> str:
        """A field that is no image, of the data that the input shows."""
        data = objective.input_of(reference.which).view.data
        about = f"{data.name}.{reference.field}"
        id_ = self.node(f"field {about}", "field", "data", "", reference.field, about=about)
        # A field that some samples have comes from the sources that have it.
        sources = (data,) if data.is_whole(reference.field) else data.having(reference.field)
        for source in sources:
            self.edge(self.data(source.name), id_)
        return id_

    def inputs(self, objective: Objective) -> dict[str, tuple[int, int]]:
        """What the online encoder is given, each by itself, with its size: one input, or several views."""
        if objective.several:
            return {self.view(item.view): item.view.size for item in objective.inputs}
        return {self.input(objective): objective.inputs[0].view.size}

    def input(self, objective: Objective) -> str:
        """What the online encoder is given: a view, masked, or mixed."""
        span = objective.settings["input"]
        if objective.mix is not None:
            word = objective.mix.word
            about = word.text()
            id_ = self.node(f"mix {objective.name}", "mix", "data", "", "mix", labels.mix(word), about=about, span=span)
            views = {self.view(item.view): item.view for item in objective.inputs}
            for view, declared in views.items():
                shown = [item.which or "" for item in objective.inputs if item.view is declared]
                self.edge(view, id_, label=", ".join(shown))
            return id_
        (item,) = objective.inputs
        if item.mask is None:
            return self.view(item.view)
        about = item.mask.word.text()
        details = labels.mask(item.mask.word)
        id_ = f"mask {item.view.name} by {about}"
        self.node(id_, "mask", "data", "", "mask", details, about=labels.input_text(item), span=item.mask.span)
        self.edge(self.view(item.view), id_)
        return id_

    def call(self, encoder: EncoderDeclaration, shown: str, label: str, size: tuple[int, int] | None = None) -> str:
        """One run of an encoder on what node `shown` is, images of `size`, or one for each view of a list."""
        id_ = f"call {encoder.name} on {shown}"
        runs = self.calls.setdefault(encoder.name, [])
        if id_ not in runs:
            runs.append(id_)
            if encoder.of in self.calls:
                self.followed[id_] = self.calls[encoder.of][-1]
        self._encoder(id_, encoder, size, self.nodes[shown].count)
        if not any((edge.source, edge.target) == (shown, id_) for edge in self.edges):
            self.edge(shown, id_, label=label)
        return id_

    def _encoder(
        self, id_: str, encoder: EncoderDeclaration, size: tuple[int, int] | None = None, count: int = 1
    ) -> str:
        online = {objective.encoder.name for objective in self.program.objectives}
        symbol = "f_theta" if encoder.name in online else "f_phi"
        about = encoder.word.word.text()
        details = labels.encoder(encoder, size, count)
        branch, span = _branch(encoder), encoder.span
        return self.node(id_, "call", branch, symbol, encoder.name, details, about=about, span=span, count=count)

    def projected(self, encoder: EncoderDeclaration, before: str, pool: str | None, symbol: str) -> str:
        """`before` through the projector of `encoder`, or itself when there is none. `pool` is what comes first."""
        word = encoder.word.word.as_image()
        if word is None or word.projector is None:
            return before
        details = labels.predictor(word.projector, pool, relative=False)
        id_ = f"projector {encoder.name} {pool or 'dense'} on {before}"
        about = word.projector.text()
        branch = _branch(encoder)
        self.node(id_, "projector", branch, symbol, word.projector.name, details, about=about, span=encoder.span)
        self.edge(before, id_)
        return id_

    # --- rows ---------------------------------------------------------------------------------------------------------

    def objectives(self) -> str:
        """All rows, and the total that they end in."""
        ends: list[tuple[str, str]] = []
        for objective in self.program.objectives:
            runs = [self.call(objective.encoder, shown, "x", size) for shown, size in self.inputs(objective).items()]
            call = runs[0] if len(runs) == 1 else f"runs of {objective.name}"
            word = objective.represent.word
            branch = _branch(objective.encoder)
            span = objective.settings["represent"]
            features = self.node(
                f"input {call}", "input", branch, "z_x", "", (word.name,), about=word.text(), span=span
            )
            for run in runs:
                self.edge(run, features)
            losses = [self._row(objective, target, features) for target in objective.targets]
            ends += self._weighting(objective, losses)
        total = self.node("total", "total", "total", "L", "")
        for end, label in ends:
            self.edge(end, total, label=label)
        return total

    def _row(self, objective: Objective, target: Target, features: str) -> str:
        """One target: predictor, target representation and loss, as a group."""
        name = f"{objective.name}.{target.name}"
        predictor = self._prediction(objective, target, features, name)
        wanted = self._target(objective, target, name)
        word = target.distribution.word
        span = target.distribution.span
        details = labels.distribution(target)
        about = f"{word.text()}; {' + '.join(placed.word.text() for placed in target.regularizations)}"
        loss = f"loss {name}"
        self.node(loss, "loss", "target", "-log P", word.name, details, about=about, span=span, group=name)
        self.edge(predictor, loss)
        self.edge(wanted, loss, stop_gradient=any(placed.word.detaches for placed in target.regularizations))
        label = labels.group(objective, target, qualified=len(self.program.objectives) > 1)
        self.groups.append(Group(name, label, (predictor, wanted, loss), self.line(target.span)))
        return loss

    def _prediction(self, objective: Objective, target: Target, features: str, name: str) -> str:
        word = target.predictor.word
        pool: str | None = None
        if not target.representation.word.has_grid and not word.pools:
            pool = word.pooling()
        before = features
        if target.projected:
            before = self.projected(objective.encoder, features, pool, "g_theta")
        shown = target.data[0]
        same_view = any(item.view is shown.view for item in objective.predictors_of(shown))
        relative = word.relative() and shown.view is not None and not same_view
        details = labels.predictor(word, None if before != features else pool, relative=relative)
        about = word.text()
        id_ = f"predictor {name}"
        span = target.predictor.span
        self.node(id_, "predictor", "target", "f_psi", word.name, details, about=about, span=span, group=name)
        self.edge(before, id_)
        return id_

    def _target(self, objective: Objective, target: Target, name: str) -> str:
        """z_y, from the data of the target through its encoder."""
        word = target.representation.word
        span = target.representation.span
        explicit = any(placed.word.detaches for placed in target.regularizations)
        sources = [self._target_source(objective, target, reference) for reference in target.data]
        branch: Branch = self.nodes[sources[0][0]].branch if target.encoder is not None else "data"
        if isinstance(word, CategoryEmbedding):
            branch = "target"
        about = word.text()
        id_ = f"target {name}"
        self.node(id_, "target", branch, "z_y", "", labels.representation(word), about=about, span=span, group=name)
        for source, label in dict.fromkeys(sources):
            # An averaged or frozen encoder runs without gradient, whether or not the row says so.
            still = target.encoder is not None and not target.encoder.trained and not explicit
            self.edge(source, id_, label=label, stop_gradient=still)
        return id_

    def _target_source(self, objective: Objective, target: Target, reference: TargetReference) -> tuple[str, str]:
        """The node that z_y is made of, and the label of the arrow from it."""
        word = target.representation.word
        if isinstance(word, DensePixels) and reference.view is not None:
            return self.view(reference.view), "y"
        shown = self.field(objective, reference) if reference.view is None else self.view(reference.view)
        encoder = target.encoder
        if encoder is None:
            return shown, "y"
        call = self.call(encoder, shown, "y")
        if isinstance(word, TextEmbedding) or not target.projected:
            return call, ""
        pool = None if word.assigned else word.pooling()
        symbol = "g_theta" if encoder.name == objective.encoder.name else "g_phi"
        return self.projected(encoder, call, pool, symbol), ""

    def _weighting(self, objective: Objective, losses: list[str]) -> list[tuple[str, str]]:
        """What goes into the total, with its factor: a single loss of fixed weight itself, else the weighting."""
        factors = [
            "" if target.weight == 1 else f"{labels.TIMES} {number_text(target.weight)}" for target in objective.targets
        ]
        word = objective.weighting.word
        if len(losses) == 1 and word.name == "fixed":
            return [(losses[0], factors[0])]
        id_ = f"weighting {objective.name}"
        details = (word.name,) if len(self.program.objectives) == 1 else (word.name, objective.name)
        span = objective.weighting.span
        self.node(id_, "weighting", "total", "", "weighting", details, about=word.text(), span=span)
        for loss, factor in zip(losses, factors, strict=True):
            self.edge(loss, id_, label=factor)
        return [(id_, "")]

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


def _whole_lists(program: Program) -> frozenset[str]:
    """The lists of views of which every input and every target's data names all or none."""
    named = [[item.view for item in objective.inputs] for objective in program.objectives]
    named += [[item.view for item in t.data if item.view is not None] for o in program.objectives for t in o.targets]
    found: dict[str, bool] = {}
    for views in named:
        places = [view.place for view in views if view.place is not None]
        for place in places:
            whole = sum(other.name == place.name for other in places) == place.count
            found[place.name] = whole and found.get(place.name, True)
    return frozenset(name for name, whole in found.items() if whole)


def _branch(encoder: EncoderDeclaration) -> Branch:
    if encoder.momentum is not None:
        return "average"
    if encoder.frozen:
        return "frozen"
    return "text" if encoder.word.word.as_text() is not None else "online"
