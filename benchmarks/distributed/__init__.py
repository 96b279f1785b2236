"""What it costs to train on several processes: `python -m benchmarks.distributed`.

Takes: the benchmark recipes of benchmarks/speed. Gives: benchmarks/RESULTS_DISTRIBUTED.md. Guarantees: every side is
what `m3ic train` runs, on a process group of its making, and computes what one process computes, before it is timed.
"""
