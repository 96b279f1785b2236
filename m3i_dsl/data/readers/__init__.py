"""Readers: stored samples of each format as a `Dataset`.

Takes: paths, URLs or names. Gives: open datasets. Guarantees: a sample is read by its position alone, alike in every
process; what cannot be read is a BrokenSample, and what is wrong with the whole source a WordError at its argument.

digits.py folder.py torchvision.py huggingface.py parquet*.py tar*.py   one format each
subset.py           some of the samples of any of them
stored.py images.py decoding a picture, with or without a canvas
files.py places.py cache.py shard_sizes.py   finding files, fetching remote ones, keeping them
"""
