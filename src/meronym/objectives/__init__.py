"""One pure function per published term. Tensors in, tensors out; no configuration, device or state."""

from meronym.objectives.consistency import part_consistency, visual_consistency
from meronym.objectives.contrastive import contrastive, descriptor_distance, draw_partners, view_partners
from meronym.objectives.equivariance import equivariance
from meronym.objectives.pooling import Pooled, pool

__all__ = [
    "Pooled",
    "contrastive",
    "descriptor_distance",
    "draw_partners",
    "equivariance",
    "part_consistency",
    "pool",
    "view_partners",
    "visual_consistency",
]
