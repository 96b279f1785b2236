"""What a user sees of a run, on the screen, in its record and in other tools.

reporter.py     one report for all ranks
across.py       numbers and messages of all ranks, brought together when a step is logged
forwarding.py   Python warnings of ranks that show nothing
settings.py     what a user asked to see
metrics.py      metrics.jsonl
sinks/          TensorBoard, W&B, MLflow
configuration.py  what other tools list of a run
display.py live.py   what is shown while it runs
text.py         durations and sparklines
throughput.py   images/s and data wait
waiting.py      whether training waits for its data
resources.py    memory and model FLOPs utilization
"""
