"""Inputs that are changed at random end as they should: `python -m benchmarks.fuzz [KIND...] [--count 300]`.

mutations.py   changes of bytes, of words of a text, and of values of JSON
kind.py        what a kind of input is, and how a case may end
kinds/         the kinds: recipes, shards, parquet files, images, manifests, records, caches
bounds.py      time and memory of a case
process.py     cases in a process of their own, which may die or hang
page.py        the table

A case is a function of (seed, kind, number): `--seed S --only N` makes it again, `--debug` with its traceback.
"""
