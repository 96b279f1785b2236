"""What a user sees of a run, on the screen and in its record.

metrics.py     metrics.jsonl and TensorBoard
display.py live.py   what is shown while it runs
throughput.py  images/s and data wait
"""
