"""A training that is disturbed for a while ends with the bits of one that is left alone: `python -m benchmarks.soak`.

recipe.m3i         what is trained
processes.py       processes of this soak, found by a mark in their environment
data.py            the files that it reads, and faults of them
run.py             `m3ic train` as a user starts it
disturbances.py    what happens to it, and what must come of that
memory.py          host memory of ranks over time, and its slope
comparison.py      checkpoints bit by bit, records line by line
page.py            the table
"""
