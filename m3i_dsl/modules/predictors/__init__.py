"""f_psi: from tokens of the input representation to the prediction of a target representation.

Every built predictor is called as `module(features, hidden, wanted, source, geometry_x, geometry_y)`: `features`
[B, P + N, D], or [B, D] already pooled; `hidden` bool [B, L], the positions of the input grid that the N tokens are NOT
at (None: N = L); `wanted` bool [B, L_y], the target positions to predict (None: all); `source` bool [B, L], True for
tokens of the target's own image when those of both images of a mix come together; the geometries [B, 6] of input and
target view (None: the same view). Those that ask for no positions ignore all but `features`.
"""
