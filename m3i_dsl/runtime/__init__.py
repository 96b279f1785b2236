"""Training in one process: from an executable and a stream of batches to weights on disk.

interfaces.py   what training needs of the graph, the stream and the display
schedule.py     durations in steps, the learning rate and ramps at a step
ema.py          averaged encoders
precision.py    bf16 where the device has it
microbatches.py gradient accumulation, and when it would change the recipe
coupled.py      which words couple the samples of a batch
guard.py        non-finite losses: noticed before weights move, undone to the bit
kernels.py      which kernels torch may choose on a GPU
locate.py       which node of the graph, and which line of the recipe, made the first non-finite number
step.py         one step
failure.py      the diagnostic for a step that was not finite
options.py      where and how fast it runs
loop.py         the steps: logging, evaluation, checkpoints, signals
run_folder.py   one folder for each run, one process for each folder
checkpoint.py   published atomically with hashes, verified when read
state.py        modules, optimizers and random numbers as tensors and JSON
snapshot.py     everything that a checkpoint holds
signals.py      stop at the next step boundary
monitors.py     whether representations collapse
reporting/      what a user sees: the display, metrics.jsonl, rates
faults.py       what can go wrong, with codes
"""
