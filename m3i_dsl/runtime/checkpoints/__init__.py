"""Checkpoints: what a run carries from step to step, on disk.

The format is that of torch.distributed.checkpoint (DCP) with safetensors files, whatever the number of processes and
the way they share the module: what 8 processes wrote under FSDP is read by one, and the other way round.

    content.py    tensors by name and plain values: what a checkpoint holds
    named.py      modules and optimizers as such tensors, by the names of the recipe's module
    snapshot.py   the parts of a run <-> a checkpoint's content
    staging.py    the copy to host memory, each byte by one process
    folder.py     the files of a checkpoint, their manifest, whether they verify
    writing.py    from staged tensors to a published folder, all processes together
    reading.py    a verified checkpoint, read into tensors
    store.py      the checkpoints of a run: saved while training goes on, chosen by all processes alike
"""
