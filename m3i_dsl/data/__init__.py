"""Data: from opened sources to the tensors of a step.

Takes: the typed program and the inputs of its graph. Gives: `Stream`, whose batches are a pure function of the step,
and `LabelledSource`, the deterministic images of an evaluation. Guarantees: the same step gives the same bits whatever
the number of workers, the prefetch or the step that training was resumed from.

order.py        which sample stands at a position of training
readers/        the formats of stored samples
sources.py      opening them for a program, with the data named in errors
loader.py       background decoding, chunk by chunk
transfer.py     copies to the device that nothing waits for
views.py augment/   the transforms on the device
batch.py stream.py  a step's inputs
evaluation.py   labelled images without randomness, part by part
"""
