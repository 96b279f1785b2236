"""f_psi: from tokens of the input representation to the prediction of a target representation.

What maps tokens is called as `module(features)`: [B, P + N, D], or [B, D] already pooled. What pools them itself, as
`module(features, source, prefix=P)`: `source` bool [B, L], True for tokens of the target's own image when those of both
images of a mix come together (None: all are its own).

What asks for positions is called as `module(features, hidden, wanted, source, geometry_x, geometry_y, prefix=, rows=,
columns=, target_rows=, target_columns=, count=)`: `hidden` bool [B, L], the positions of the input grid, `rows` x
`columns`, that the N tokens are NOT at (None: N = L); `wanted` bool [B, L_y], the `count` positions of the target grid
to predict (None: all); the geometries [B, 6] of input and target view (None: the same view). One module may be called
on several grids.
"""
