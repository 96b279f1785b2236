"""How near loading comes to its limit: `python -m benchmarks.loader SHARDS CIFAR [--workers 2] [--output FILE]`.

The limit is as many processes as there are workers that do nothing but decode, by the fastest library, the same bytes
that they hold in memory, and cut the views of a batch by torchvision's kernel: no loader can be faster on the same
cores without other kernels. The others deliver batches of uint8 views to the training process.

cases.py     what is loaded, and the files for it
limit.py     the limit
loaders.py   m3ic and the others
clock.py     one run: images in a second, and processor time
__main__.py  the command, the page
"""
