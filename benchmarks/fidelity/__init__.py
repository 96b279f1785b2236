"""What a recipe named after a method does otherwise than the method's published code, measured.

    python -m benchmarks.fidelity

writes docs/fidelity.md. Each row is `equal`, with the largest difference from a reference that was written from the
paper and from what the published code does (tests/numerics), or `declared`: the header of the recipe says it.
"""
