"""The default method beside k-means and the paper's terms on the same features, K = 4, 8, 16: not in the paper."""

from typing import Any

from meronym.recipes.base import Panel, Row, Table

DEFAULT = "our default"
KMEANS = "the start of the others"
TERMS = "two of the paper's four terms, for a head on frozen features"
PLAIN: dict[str, Any] = {"why": "on the features as they are", "settings": {"centre": 0.0}}


def row(method: str, parts: int, backbone: str = "dinov2_vits14", **rest: Any) -> Row:
    """Named after method, backbone and K."""
    name = f"{method}_{backbone.removesuffix('_vits14')}_k{parts}"
    return Row(name=name, method=method, beside=None, backbone=backbone, parts=parts, **rest)


BIRDS = (
    *(row("kmeans", k, backbone, why=KMEANS) for backbone in ("dinov2_vits14", "vgg19") for k in (4, 8, 16)),
    *(row("contrastive", k, backbone, why=TERMS) for backbone in ("dinov2_vits14", "vgg19") for k in (4, 8, 16)),
    *(row("consensus", k, why=DEFAULT) for k in (4, 8, 16)),
)
OTHERS = (
    *(row("kmeans", k, protocols=("box",), **PLAIN) for k in (8, 16)),
    *(row("contrastive", k, protocols=("box",), why=TERMS) for k in (8, 16)),
    *(row("consensus", k, protocols=("box",), why=DEFAULT) for k in (8, 16)),
)

BEST = Table(
    title="Best: the default method, K = 4, 8, 16",
    panels=(
        Panel(title="CUB-200-2011", data=("CUB",), scores=("fg_nmi", "fg_ari", "nmi", "ari"), rows=BIRDS),
        Panel(title="Clothing Co-Parsing", data=("CCP",), scores=("fg_nmi", "fg_ari"), rows=OTHERS),
        Panel(title="CarParts", data=("CarParts",), scores=("fg_nmi", "fg_ari"), rows=OTHERS),
    ),
)
