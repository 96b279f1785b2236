"""The memory of an evaluation of ImageNet's length: `python -m benchmarks.evaluation [--share 0.1] [--processes 2]`.

A made source of 1.28 million training and 50 thousand test pictures, which repeat and are small, is shown at 224 px to
a small encoder, and measured with kNN, the linear probe and zero-shot recognition as training does. What is looked at
is the memory of each process and its workers beside what they have when the encoder stands, every half second.

source.py    the pictures and the encoder
memory.py    the memory of a process and its workers, over time
member.py    one of the processes
page.py      RESULTS_EVALUATION.md
__main__.py  the command
"""
