"""From the typed program to its drawing.

Takes: a checked `Program`. Gives: a `Drawing` with everything that a step computes from data to the total loss, wired
as its plain graph is. Guarantees: nodes are in the order of the recipe; what two rows share (a view, a masked input, an
encoder's run on it, a projection) is one node with an arrow for each; what no loss reads is not drawn. Each row is
drawn forward: a symmetric objective has a note for its swapped half.
"""

from __future__ import annotations

from m3i_dsl.drawing import labels
from m3i_dsl.drawing.boxes import Boxes, branch_of, whole_lists
from m3i_dsl.drawing.model import Branch, Drawing, Group
from m3i_dsl.drawing.wiring import Feed, Wiring
from m3i_dsl.ir.build import build
from m3i_dsl.ir.graph import Equation
from m3i_dsl.ir.inputs import ViewInput
from m3i_dsl.ir.operations import OPERATIONS
from m3i_dsl.semantics.program import Objective, Program, Target
from m3i_dsl.vocabulary.values import number_text


def draw(program: Program) -> Drawing:
    """The drawing of `program`."""
    boxes = Boxes(program, Wiring(build(program)), whole_lists(program))
    rows = _Rows(boxes)
    total = rows.objectives()
    boxes.follow(total)
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
    return Drawing(program.name, tuple(boxes.nodes.values()), tuple(boxes.edges), tuple(rows.groups), notes)


class _Rows:
    """Writes the rows of every objective."""

    def __init__(self, boxes: Boxes) -> None:
        self.boxes, self.program, self.wiring = boxes, boxes.program, boxes.wiring
        self.groups: list[Group] = []

    def objectives(self) -> str:
        """All rows, and the total that they end in."""
        ends: list[tuple[str, str]] = []
        for objective in self.program.objectives:
            rows = [(target, self.wiring.comparisons(objective, target)) for target in objective.targets]
            self._input(objective, [comparison for _, comparisons in rows for comparison in comparisons])
            losses = [self._row(objective, target, comparisons) for target, comparisons in rows]
            ends += self._weighting(objective, losses)
        total = self.boxes.node("total", "total", "total", "L", "")
        for end, label in ends:
            self.boxes.edge(end, total, label=label)
        return total

    def _input(self, objective: Objective, comparisons: list[Equation]) -> None:
        """z_x: of one input, or of several views, each by itself."""
        predictions = self.wiring.feed(*(comparison.arguments[0] for comparison in comparisons)).origins
        order = {item.view.name: place for place, item in enumerate(objective.inputs)}

        def place(run: Equation) -> int:
            views = (origin for origin in self.wiring.before(run).origins if isinstance(origin, ViewInput))
            return min((order.get(view.view, 0) for view in views), default=0)

        encoded = sorted(self.wiring.encoded(predictions), key=place)
        runs = list(dict.fromkeys(self.boxes.call(objective, run, "x") for run in encoded))
        call = runs[0] if len(runs) == 1 else f"runs of {objective.name}"
        word, span = objective.represent.word, objective.settings["represent"]
        branch = branch_of(objective.encoder)
        id_ = self.boxes.node(f"input {call}", "input", branch, "z_x", "", (word.name,), about=word.text(), span=span)
        for run in runs:
            self.boxes.edge(run, id_)
        self.boxes.features[objective.name] = id_

    def _row(self, objective: Objective, target: Target, comparisons: tuple[Equation, ...]) -> str:
        """One target: predictor, target representation and loss, as a group."""
        name = f"{objective.name}.{target.name}"
        predictor = self._prediction(objective, target, comparisons, name)
        feeds = [self.wiring.target(comparison) for comparison in comparisons]
        stops = any(feed.passes("stop_gradient") for feed in feeds)
        wanted = self._target(objective, target, feeds, name, stops=stops)
        word = target.distribution.word
        span = target.distribution.span
        details = labels.distribution(target)
        about = f"{word.text()}; {' + '.join(placed.word.text() for placed in target.regularizations)}"
        loss = f"loss {name}"
        self.boxes.node(loss, "loss", "target", "-log P", word.name, details, about=about, span=span, group=name)
        self.boxes.edge(predictor, loss)
        self.boxes.edge(wanted, loss, stop_gradient=stops)
        label = labels.group(objective, target, qualified=len(self.program.objectives) > 1)
        self.groups.append(Group(name, label, (predictor, wanted, loss), self.boxes.line(target.span)))
        return loss

    def _prediction(self, objective: Objective, target: Target, comparisons: tuple[Equation, ...], name: str) -> str:
        """zh: one box for the runs of a predictor on every image and view."""
        origins = self.wiring.feed(*(comparison.arguments[0] for comparison in comparisons)).origins
        predictions = [origin for origin in origins if isinstance(origin, Equation)]
        feeds = [self.wiring.before(equation) for equation in predictions]
        before = [self.boxes.box(origin, objective, "x") for feed in feeds for origin in feed.origins]
        word, span = target.predictor.word, target.predictor.span
        pools = tuple(dict.fromkeys(mode for feed in feeds for mode in feed.pools()))
        details = labels.predictor(word, pools, relative=any(map(_is_relative, predictions)))
        id_ = self.boxes.node(
            f"predictor {name}",
            "predictor",
            "target",
            "f_psi",
            word.name,
            details,
            about=word.text(),
            span=span,
            group=name,
        )
        for node in before:
            self.boxes.edge(node, id_)
        return id_

    def _target(self, objective: Objective, target: Target, feeds: list[Feed], name: str, *, stops: bool) -> str:
        """z_y, from what the graph makes it of."""
        word, span = target.representation.word, target.representation.span
        sources = [self.boxes.box(origin, objective, "y") for feed in feeds for origin in feed.origins]
        branches: list[Branch] = [self.boxes.nodes[source].branch for source in sources]
        encoded: list[Branch] = [branch for branch in branches if branch != "data"]
        branch: Branch = encoded[0] if encoded else "target" if word.trained else "data"
        id_ = f"target {name}"
        details = labels.named(word)
        self.boxes.node(id_, "target", branch, "z_y", "", details, about=word.text(), span=span, group=name)
        for source in dict.fromkeys(sources):
            node = self.boxes.nodes[source]
            # An averaged or frozen encoder runs without gradient, whether or not the row says so.
            still = node.branch in ("average", "frozen") and not stops
            self.boxes.edge(source, id_, label="y" if node.branch == "data" else "", stop_gradient=still)
        return id_

    def _weighting(self, objective: Objective, losses: list[str]) -> list[tuple[str, str]]:
        """What goes into the total, with its factor: a single loss of constant weight itself, else the weighting."""
        factors = [
            "" if target.weight == 1 else f"{labels.TIMES} {number_text(target.weight)}" for target in objective.targets
        ]
        word = objective.weighting.word
        if len(losses) == 1 and word.constant:
            return [(losses[0], factors[0])]
        id_ = f"weighting {objective.name}"
        details = (word.name,) if len(self.program.objectives) == 1 else (word.name, objective.name)
        span = objective.weighting.span
        self.boxes.node(id_, "weighting", "total", "", "weighting", details, about=word.text(), span=span)
        for loss, factor in zip(losses, factors, strict=True):
            self.boxes.edge(loss, id_, label=factor)
        return [(id_, "")]


def _is_relative(prediction: Equation) -> bool:
    """Whether a predictor is told where the target view lies in the input view."""
    given = dict(zip(OPERATIONS[prediction.operation].arguments, prediction.arguments, strict=False))
    return given.get("geometry_y") is not None
