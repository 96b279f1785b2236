"""The torch building blocks that a compiled program calls: pure functions on tensors and `nn.Module`s.

Siblings: `tokens`, `normalize`, `pixels`, `positions`, `masking` (functions on tokens and images), `likelihoods`,
`queue`, `penalties`, `weightings` (what becomes the loss), `encoders/`, `text_encoder`, `predictors/` (f_theta, f_phi,
f_psi). Shapes: B batch, L grid tokens, P prefix tokens, N tokens given, D width, E global width, C categories, T text.
All keep the dtype of their inputs; losses compute in float32 at least.
"""
