"""Measurements and checks that need a GPU.

throughput.py   compiled recipes of ViT-B and ViT-L beside hand-written steps
checks.py       what is right or wrong on a device: training, syncs, failures, compilation, checkpoints, NCCL
costs.py        where the time of a step goes; layouts of convolutions
job.py          a recipe, small, as a training on a device
session.py      all of it in order of value, within a number of minutes
"""
