"""Distinctiveness of parts across photos (Eq. 3) and the L2 form it is compared with in Table 2."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def draw_partners(photos: int, parts: int, generator: torch.Generator) -> Int[Tensor, "N K"]:
    """For each part of each photo, which other photo lends the positive: uniform over the N - 1 others.

    The published code draws randint(1, N - 1), which never picks the first candidate and needs N >= 3.
    """
    if photos < 2:
        raise ValueError(f"the contrastive term compares photos: it needs a batch of 2 or more, got {photos}")
    shift = torch.randint(1, photos, (photos, parts), generator=generator)
    return (torch.arange(photos)[:, None] + shift) % photos


def view_partners(photos: int, parts: int) -> Int[Tensor, "N2 K"]:
    """Partners where each photo is there twice, the second views after all the first: the other view of the photo."""
    return ((torch.arange(2 * photos) + photos) % (2 * photos))[:, None].expand(-1, parts)


def contrastive(
    z: Float[Tensor, "N K D"],
    partners: Int[Tensor, "N K"],
    temperature: float,
    cosine: bool = False,
    same_photo_negatives: bool = False,
    weights: Float[Tensor, "N K"] | None = None,
) -> Float[Tensor, ""]:
    """L_c, Eq. 3: the mean over all N x K part occurrences of the cross-entropy of telling part k of a
    partner photo from all other parts j != k.

    z: part descriptors of all photos (of all processes, where there are several).
    partners: index of the photo whose part k is the positive, see `draw_partners`.
    cosine: published-code form, similarity of unit vectors; the paper's is the dot product.
    same_photo_negatives: published-code form, negatives also from the anchor's own photo (i = n).
    weights: how much each anchor counts (None: all alike).
    """
    if cosine:
        z = F.normalize(z, dim=2)
    photos, parts, _ = z.shape
    scores = torch.einsum("nkd,ijd->nkij", z, z) / temperature
    n, k = torch.arange(photos, device=z.device), torch.arange(parts, device=z.device)
    positive = scores[n[:, None], k[None, :], partners, k[None, :]]
    negatives = _negatives(photos, parts, same_photo_negatives, z.device)
    logits = scores.masked_fill(~negatives, -torch.inf).flatten(2)
    loss = torch.logsumexp(torch.cat([positive[..., None], logits], dim=2), dim=2) - positive
    if weights is None:
        return loss.mean()
    return (loss * weights).sum() / weights.sum().clamp(min=1e-7)


def _negatives(photos: int, parts: int, same_photo: bool, device: torch.device) -> Bool[Tensor, "N K N K"]:
    n, k = torch.arange(photos, device=device), torch.arange(parts, device=device)
    other_part = k[None, :, None, None] != k[None, None, None, :]
    other_photo = n[:, None, None, None] != n[None, None, :, None]
    return other_part & (other_photo | same_photo)


def descriptor_distance(z: Float[Tensor, "N K D"], partners: Int[Tensor, "N K"]) -> Float[Tensor, ""]:
    """Table 2, "L2 instead of contrastive": the mean of ||z_k^(n) - z_k^(partner)||^2."""
    k = torch.arange(z.shape[1], device=z.device)
    return (z - z[partners, k[None, :]]).square().sum(2).mean()
