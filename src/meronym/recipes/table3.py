"""Table 3: elimination of supervision, on CUB-200-2011, K = 4. No row of it uses part labels."""

from typing import Any

from meronym.recipes.base import CUB50, PAPER_CONFIGURATION, Panel, Row, Table

VGG16 = {"phi": "vgg16", "layers": ["relu3_2", "relu5_3"]}
NO_LABELS = {"trunk": "resnet50_swav", "phi": "vgg16_deepcluster", "layers": ["relu3_2", "relu5_3"]}
SMALLER_START = "the paper's configuration, but for a smaller start of the classifiers"
HEAD: dict[str, Any] = {"method": "contrastive", "protocols": ("box",)}


def paper(name: str, beside: str, why: str = SMALLER_START, **settings: Any) -> Row:
    """The paper's own configuration with other networks."""
    return Row(name=name, beside=beside, why=why, settings=settings, protocols=("box",), **PAPER_CONFIGURATION)


TABLE3 = Table(
    title="Table 3: elimination of supervision, K = 4",
    panels=(
        Panel(
            title="CUB-200-2011; backbone of f, perceptual network, masks for training",
            data=("CUB",),
            scores=("fg_nmi", "fg_ari"),
            paper={
                "ResNet50 sup., VGG19 sup., GT": (46.0, 21.0),
                "ResNet50 sup., VGG16 sup., GT": (39.7, 19.1),
                "ResNet50 SwAV, VGG16 sup., GT": (35.4, 16.4),
                "ResNet50 SwAV, VGG16 DeepCluster, GT": (32.3, 14.0),
                "ResNet50 SwAV, VGG16 DeepCluster, found": (31.9, 14.9),
            },
            note=CUB50,
            rows=(
                paper("paper", "ResNet50 sup., VGG19 sup., GT"),
                Row(
                    name="head_vgg19",
                    beside="ResNet50 sup., VGG19 sup., GT",
                    why="a head on frozen VGG-19 features, which are phi too",
                    backbone="vgg19",
                    **HEAD,
                ),
                paper("paper_vgg16", "ResNet50 sup., VGG16 sup., GT", **VGG16),
                Row(
                    name="head_vgg16",
                    beside="ResNet50 sup., VGG16 sup., GT",
                    why="a head on frozen VGG-16 features, which are phi too",
                    backbone="vgg16",
                    **HEAD,
                ),
                paper("paper_swav_vgg16", "ResNet50 SwAV, VGG16 sup., GT", trunk="resnet50_swav", **VGG16),
                paper("paper_swav_deepcluster", "ResNet50 SwAV, VGG16 DeepCluster, GT", **NO_LABELS),
                Row(
                    name="head_swav",
                    beside="ResNet50 SwAV, VGG16 DeepCluster, GT",
                    why="a head on frozen SwAV features, which are phi too",
                    backbone="resnet50_swav",
                    **HEAD,
                ),
                Row(
                    name="head_deepcluster",
                    beside="ResNet50 SwAV, VGG16 DeepCluster, GT",
                    why="a head on frozen DeepCluster features, which are phi too",
                    backbone="vgg16_deepcluster",
                    **HEAD,
                ),
                Row(
                    name="head_dinov2",
                    beside="ResNet50 SwAV, VGG16 DeepCluster, GT",
                    why="a head on frozen DINOv2 features, which are phi too, and trained without labels",
                    **HEAD,
                ),
                Row(
                    name="head_dinov2_no_masks",
                    beside="ResNet50 SwAV, VGG16 DeepCluster, found",
                    why="the same without masks and boxes: the object is found by the same features",
                    settings={"masks": "none"},
                    masks="none",
                    **HEAD,
                ),
            ),
        ),
    ),
)
