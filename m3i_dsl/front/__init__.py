"""The Python front: what a notebook or a script calls, and what the commands call as well.

Takes: a recipe's path or text, or a run's folder. Gives: `Recipe`, `Compiled`, `Run` and what they show of themselves.
Guarantees: the names in `m3i_dsl.__all__` stay; every fault is an exception with the diagnostics that the command would
show; torch is imported when something is compiled, trained or measured, and not before.

recipe.py     a recipe: checked, drawn, tabled, compiled
compiled.py   an artifact: its graph as a module, and training
run.py        a run: its metrics, results, encoder and exports
shown.py      pictures and tables that a notebook shows by themselves
notebook.py   the cell magic `%%m3i`
"""
