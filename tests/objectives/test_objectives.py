"""Each objective against a naive float64 twin: value and gradient."""

import pytest
import torch
from torch.nn import functional as F

from meronym.objectives import (
    contrastive,
    descriptor_distance,
    draw_partners,
    equivariance,
    part_consistency,
    pool,
    view_partners,
    visual_consistency,
)
from twins import agree


def soft_masks(b=3, k=4, side=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(b, k, side, side, generator=g, dtype=torch.float64, requires_grad=True)
    foreground = (torch.rand(b, 1, side, side, generator=g) > 0.4).double()
    return logits, foreground


def naive_consistency(masks, layers):
    """The published way: everything at full resolution, a (B, K, D, H, W) tensor."""
    up = torch.cat([F.interpolate(f, masks.shape[2:], mode="bilinear", align_corners=False) for f in layers], 1)
    z = torch.einsum("bkhw,bdhw->bkd", masks, up) / masks.sum((2, 3)).clamp(min=1e-7)[..., None]
    spread = (up[:, None] - z[..., None, None]).square().sum(2)
    return (masks * spread).sum((1, 2, 3)) / (masks.sum((1, 2, 3)) + 1e-5), z


@pytest.mark.parametrize("shapes", [[(768, 4, 4)], [(16, 32, 32)], [(8, 16, 16), (24, 2, 2)], [(5, 7, 9), (3, 32, 8)]])
def test_part_consistency_equals_the_naive_form(shapes):
    logits, foreground = soft_masks()
    g = torch.Generator().manual_seed(1)
    layers = [torch.randn(3, *shape, generator=g, dtype=torch.float64) for shape in shapes]
    masks = logits.softmax(1) * foreground
    pooled = pool(masks, layers)
    naive, z = naive_consistency(masks, layers)
    assert torch.allclose(pooled.z, z, rtol=1e-9)
    agree(part_consistency(pooled).sum(), naive.sum(), logits)


def test_visual_consistency_equals_the_naive_form():
    logits, foreground = soft_masks()
    colours = torch.rand(3, 3, 32, 32, dtype=torch.float64) * 100
    masks = logits.softmax(1) * foreground
    agree(visual_consistency(masks, colours).sum(), naive_consistency(masks, [colours])[0].sum(), logits)


def test_a_part_of_one_feature_has_no_variance_and_an_empty_photo_is_harmless():
    masks = torch.zeros(2, 2, 8, 8)
    masks[0, 0] = 1
    features = torch.ones(2, 5, 4, 4)
    loss = part_consistency(pool(masks, [features]))
    assert loss[0].abs() < 1e-4 and loss[1] == 0


def naive_contrastive(z, partners, tau, cosine, same_photo):
    if cosine:
        z = z / z.norm(dim=2, keepdim=True)
    losses = []
    n_photos, n_parts, _ = z.shape
    for n in range(n_photos):
        for k in range(n_parts):
            positive = torch.exp(z[n, k] @ z[partners[n, k], k] / tau)
            negative = sum(
                torch.exp(z[n, k] @ z[i, j] / tau)
                for i in range(n_photos)
                for j in range(n_parts)
                if j != k and (same_photo or i != n)
            )
            losses.append(-torch.log(positive / (positive + negative)))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("same_photo", [False, True])
def test_contrastive_equals_the_double_loop(cosine, same_photo):
    g = torch.Generator().manual_seed(0)
    z = torch.randn(5, 3, 7, generator=g, dtype=torch.float64, requires_grad=True)
    partners = draw_partners(5, 3, g)
    agree(contrastive(z, partners, 0.7, cosine, same_photo), naive_contrastive(z, partners, 0.7, cosine, same_photo), z)


def test_contrastive_weights_leave_anchors_out():
    z = torch.randn(4, 3, 6, dtype=torch.float64)
    partners = draw_partners(4, 3, torch.Generator().manual_seed(0))
    assert torch.allclose(contrastive(z, partners, 0.5), contrastive(z, partners, 0.5, weights=torch.ones(4, 3)))
    only = torch.zeros(4, 3, dtype=torch.float64)
    only[2, 1] = 1
    assert not torch.allclose(contrastive(z, partners, 0.5), contrastive(z, partners, 0.5, weights=only))


def test_partners_are_other_photos_all_equally_likely():
    partners = torch.stack([draw_partners(4, 2, torch.Generator().manual_seed(s)) for s in range(300)])
    own = torch.arange(4)[None, :, None]
    assert (partners != own).all()
    counts = torch.bincount(((partners - own) % 4).flatten(), minlength=4)
    assert counts[0] == 0 and (counts[1:] > 700).all()
    with pytest.raises(ValueError, match="2 or more"):
        draw_partners(1, 2, torch.Generator())


def test_descriptor_distance():
    z = torch.randn(4, 3, 6, dtype=torch.float64)
    partners = draw_partners(4, 3, torch.Generator().manual_seed(0))
    naive = sum((z[n, k] - z[partners[n, k], k]).square().sum() for n in range(4) for k in range(3)) / 12
    assert torch.allclose(descriptor_distance(z, partners), naive)


def test_the_partner_of_a_view_is_the_other_view():
    assert view_partners(3, 2).tolist() == [[3, 3], [4, 4], [5, 5], [0, 0], [1, 1], [2, 2]]


def test_equivariance_is_the_symmetrised_kl_and_its_one_way_form_holds_the_target():
    a, foreground = soft_masks(seed=2)
    b = torch.randn_like(a).requires_grad_()
    valid = foreground[:, 0]
    p, q = a.softmax(1), b.softmax(1)
    there, back = ((x * (x / y).log()).sum(1) for x, y in ((p, q), (q, p)))
    naive = (((there + back) * valid).sum((1, 2)) / (valid.sum((1, 2)) + 1e-7)).sum()
    agree(equivariance(a, b, valid).sum(), naive, b)
    assert torch.allclose(equivariance(a, a, valid), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    one_way = equivariance(a, b, valid, one_way=True).sum()
    assert torch.allclose(one_way, ((there * valid).sum((1, 2)) / (valid.sum((1, 2)) + 1e-7)).sum())
    assert torch.autograd.grad(one_way, a, allow_unused=True)[0] is None
