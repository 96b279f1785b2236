"""Where a file reports a fault, and the faults that can be planted there.

Takes: a file. Gives: its tree with every fault in it at once, each behind a switch `_planted(number)`, and the list of
them. Guarantees: with all switches off the module does what it did; line numbers are those of the text.

A fault is what an author forgets: to report (the statement is left out), or a condition of a report (the guard always
holds, or one of its clauses does not count).
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass
from pathlib import Path

SWITCH = "_planted"
"""The function that the planted module asks: whether the fault of this number is on."""

_REPORTS = ("report", "fail", "_fail", "fail_word", "warn_unused", "_mismatch")
_BESIDE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Continue, ast.Pass)
"""Statements that may stand beside a report in a branch that only reports."""


@dataclass(frozen=True, slots=True)
class Site:
    """One fault: `what` it does at `line` of `path`."""

    path: Path
    line: int
    what: str


def planted(path: Path, first: int = 0) -> tuple[ast.Module, list[Site]]:
    """The tree of a file with its faults behind switches, numbered from `first`, and the faults in this order."""
    planting = _Planting(path, first)
    tree = planting.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return ast.fix_missing_locations(tree), planting.sites


class _Planting(ast.NodeTransformer):
    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.sites: list[Site] = []

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        return self._leave_out(node)

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        return self._leave_out(node)

    def visit_If(self, node: ast.If) -> ast.stmt:
        if _only_reports(node.body):
            node.test = self._weakened(node.test)
        self.generic_visit(node)
        return node

    def _leave_out(self, node: ast.stmt) -> ast.stmt:
        if not _is_report(node):
            return node
        switch = self._switch(node, f"left out: {_message(node)}")
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), switch), [node], []), node)

    def _weakened(self, test: ast.expr) -> ast.expr:
        """A guard that can be true whatever it says, or without one of its clauses."""
        if not isinstance(test, ast.BoolOp):
            return self._off(test, neutral=True, what=f"always: {ast.unparse(test)}")
        neutral = isinstance(test.op, ast.And)
        test.values = [
            v if _narrows(v) else self._off(v, neutral=neutral, what=f"without: {ast.unparse(v)}") for v in test.values
        ]
        return test

    def _off(self, clause: ast.expr, *, neutral: bool, what: str) -> ast.expr:
        """`clause`, or the value with which it decides nothing."""
        switch = self._switch(clause, what)
        if neutral:
            return ast.copy_location(ast.BoolOp(ast.Or(), [switch, clause]), clause)
        return ast.copy_location(ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), switch), clause]), clause)

    def _switch(self, node: ast.stmt | ast.expr, what: str) -> ast.expr:
        number = self.first + len(self.sites)
        self.sites.append(Site(self.path, node.lineno, what))
        return ast.copy_location(ast.Call(ast.Name(SWITCH, ast.Load()), [ast.Constant(number)], []), node)


def _is_report(node: ast.stmt) -> bool:
    """`yield ...`, `raise SomeError(...)` of an error of the package, `report(...)` or `diagnostics.add(...)`."""
    match node:
        case ast.Expr(ast.Yield()):
            return True
        case ast.Raise(ast.Call(callee)):
            return not hasattr(builtins, _name(callee))
        case ast.Expr(ast.Call(callee, arguments)):
            makes_one = any(isinstance(a, ast.Call) and _name(a.func) == "error" for a in arguments)
            return makes_one or _name(callee) in _REPORTS
        case _:
            return False


def _narrows(clause: ast.expr) -> bool:
    """Whether a clause is `x is None` or `x is not None`: without it the others fail loudly, or mean the same."""
    match clause:
        case ast.Compare(_, [ast.Is() | ast.IsNot()], [ast.Constant(None)]):
            return True
        case _:
            return False


def _only_reports(body: list[ast.stmt]) -> bool:
    def nested(node: ast.stmt) -> bool:
        return isinstance(node, ast.If) and _only_reports(node.body) and (not node.orelse or _only_reports(node.orelse))

    if not all(_is_report(node) or isinstance(node, _BESIDE) or nested(node) for node in body):
        return False
    return any(_is_report(node) or nested(node) for node in body)


def _name(callee: ast.expr) -> str:
    match callee:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
        case _:
            return ""


def _message(node: ast.stmt) -> str:
    """What is reported, as far as the statement says it."""
    return " ".join(ast.unparse(node).split())
