"""f_theta and f_phi for images: one adapter for each family of timm models.

Every adapter is called as `module(image, hidden, visible, tokens, taps, isolate)`: `image` [B, 3, H, W]; `hidden` bool
[B, L] on the final grid, row-major (None: nothing is hidden); `tokens` "drop" (the `visible` other tokens go on alone)
or "mask" (a learned mask token stands for the hidden ones); `isolate` bool [B, L], which of two images each token is
from, if they must not see each other. It gives [B, P + N, D] in row-major order, N = L or `visible`; with `taps` K > 0
it gives (features, [B, K, P + N, D]), the outputs of the last K blocks before the final norm. `model` is the timm model
itself.
"""
