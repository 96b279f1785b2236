"""One run on many processes: where each stands, how they agree, how the module is spread over them.

The engine is torch's own: torchrun's agent, process groups, DistributedDataParallel and `fully_shard`.

    environment.py   rank and size from the launcher's environment
    group.py         the process group, from its birth to a clean end
    agreement.py     what all processes must decide alike
    team.py          the processes that make an evaluation together
    wrapping.py      DDP, FSDP2 and HSDP around the module and its averages
    watchdog.py      a rank that hangs ends in a message
    launch.py        `m3ic train --nproc-per-node`
"""
