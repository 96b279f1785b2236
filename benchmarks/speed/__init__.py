"""How fast compiled recipes train, beside hand-written PyTorch and beside other libraries.

`python -m benchmarks.speed` measures and writes benchmarks/RESULTS.md; `--help` says what can be chosen. Nothing is
timed before parameter counts and first losses of the sides agree.
"""
