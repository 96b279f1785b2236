"""What to say about a text that does not parse.

Takes: the tokens of one statement and where the parser stopped. Gives: one diagnostic, the first that applies of the
rules in

* `characters`  what no recipe contains: other quotes, other comments, brackets, arithmetic;
* `statements`  declarations, blocks, and settings;
* `values`      numbers, arguments, lists, and operators;

and a general one that names what the parser would have accepted. Guarantees: the caret is at the first bad token, or
just after the last good one where something is missing.
"""

from m3i_dsl.syntax.messages.explain import explain

__all__ = ["explain"]
