"""Where a run is recorded besides `metrics.jsonl`: one file for each tool, none of which m3ic needs.

model.py        what a tool is given, and the names that it keeps for resuming
tensorboard.py  files in the run folder
wandb.py        Weights & Biases
mlflow.py       MLflow
fan.py          all that were asked for: started before training, in threads of their own while it goes on
"""
