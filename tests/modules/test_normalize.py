"""Normalisations and pixel patches, against their formulas."""

import torch

from m3i_dsl.modules.likelihoods import gaussian
from m3i_dsl.modules.normalize import l2, layer, standardize
from m3i_dsl.modules.pixels import patchify, unpatchify


def test_layer_has_mean_zero_and_biased_variance_one() -> None:
    x = 3 + 5 * torch.randn(4, 7, 32, dtype=torch.float64)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(layer(x), expected)


def test_the_zero_prediction_of_a_layer_normalised_target_has_loss_one() -> None:
    target = layer(10 * torch.randn(4, 7, 32, dtype=torch.float64))
    torch.testing.assert_close(
        gaussian(torch.zeros_like(target), target), torch.tensor(1.0).double(), rtol=0, atol=1e-6
    )


def test_l2_is_on_the_unit_sphere_where_squared_error_is_two_minus_two_cosines() -> None:
    a, b = torch.randn(6, 9, dtype=torch.float64), torch.randn(6, 9, dtype=torch.float64)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).mean()
    torch.testing.assert_close(gaussian(l2(a), l2(b), "sum"), 2 - 2 * cosine)


def test_standardize_is_affine_free_batch_norm_over_all_rows() -> None:
    x = 2 + 3 * torch.randn(5, 4, 6, dtype=torch.float64)
    rows = x.reshape(-1, 6)
    expected = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(standardize(x), expected.reshape(x.shape))


def test_normalisations_keep_the_dtype() -> None:
    x = torch.randn(4, 8).to(torch.bfloat16)
    assert {f(x).dtype for f in (layer, l2, standardize)} == {torch.bfloat16}


def test_patchify_orders_a_patch_by_row_column_channel() -> None:
    image = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    got = patchify(image, 2, 2, normalize=False)
    for n in range(2):
        for r in range(2):
            for c in range(2):
                values = [image[n, k, 2 * r + i, 3 * c + j] for i in range(2) for j in range(3) for k in range(3)]
                assert torch.equal(got[n, 2 * r + c], torch.stack(values))
    assert torch.equal(unpatchify(got, 2, 2, 4, 6), image)


def test_normalised_patches_use_the_unbiased_variance() -> None:
    image = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    plain, got = patchify(image, 2, 2, normalize=False), patchify(image, 2, 2, normalize=True)
    count = plain.shape[-1]
    centred = plain - plain.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / (count - 1)
    torch.testing.assert_close(got, centred / (variance + 1e-6).sqrt())
