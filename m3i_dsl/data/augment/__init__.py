"""The maths of the transforms: batched torch on the device, the parameters of each sample given.

separable.py   linear maps of rows and columns: crop, resize, blur
colour.py      jitter, grayscale, solarize
boxes.py       where crops lie (numpy, on the host)
"""
