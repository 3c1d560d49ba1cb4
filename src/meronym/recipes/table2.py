"""Table 2: what each term of the objective is worth, on CUB-200-2011 and DeepFashion, K = 4."""

from meronym.recipes.base import CUB50, PAPER_CONFIGURATION, Panel, Row, Table

HEAD = "the frozen head on DINOv2 features"

HEADS = (
    Row(
        name="kmeans_vgg19",
        method="kmeans",
        beside="k-means cluster (VGG19)",
        why="relu5_2 and relu5_4, as there; of the original VGG-19 release",
        backbone="vgg19",
        protocols=("box",),
    ),
    Row(
        name="kmeans",
        method="kmeans",
        beside="k-means cluster (VGG19)",
        why="on DINOv2 features",
        protocols=("box",),
    ),
    Row(
        name="head_no_f",
        method="contrastive",
        beside="λf = 0",
        why=HEAD,
        settings={"lambda_f": 0.0},
        protocols=("box",),
    ),
    Row(
        name="head_no_c",
        method="contrastive",
        beside="λc = 0",
        why=HEAD,
        settings={"lambda_c": 0.0},
        protocols=("box",),
    ),
    Row(
        name="head_l2",
        method="contrastive",
        beside="L2 instead of contrastive",
        why=f"{HEAD}; at the contrast's weight, where it ends in one part",
        settings={"across": "l2"},
        protocols=("box",),
    ),
    Row(
        name="head_l2_weight_1",
        method="contrastive",
        beside="L2 instead of contrastive",
        why=f"{HEAD}; at a tenth of that weight",
        settings={"lambda_c": 1.0, "across": "l2"},
        protocols=("box",),
    ),
    Row(
        name="head_views",
        method="contrastive",
        beside="Lc w/ different views",
        why=f"{HEAD}; the other view is the photo's one warp",
        settings={"across": "views"},
        protocols=("box",),
    ),
    Row(
        name="head_vgg19",
        method="contrastive",
        beside="Ours (full model)",
        why="the frozen head on VGG-19 features, without λv and λe",
        backbone="vgg19",
        protocols=("box",),
    ),
    Row(
        name="head",
        method="contrastive",
        beside="Ours (full model)",
        why=f"{HEAD}, without λv and λe",
        protocols=("box",),
    ),
)


def paper(name: str, beside: str, **settings: float | str) -> Row:
    """The paper's own configuration, with one thing changed."""
    return Row(
        name=name,
        beside=beside,
        why="the paper's configuration, but for a smaller start of the classifiers",
        settings=settings,
        protocols=("box",),
        **PAPER_CONFIGURATION,
    )


ROWS = (
    *HEADS,
    paper("paper_no_f", "λf = 0", lambda_f=0.0),
    paper("paper_no_c", "λc = 0", lambda_c=0.0),
    paper("paper_no_v", "λv = 0", lambda_v=0.0),
    paper("paper_no_e", "λe = 0", lambda_e=0.0),
    paper("paper_l2", "L2 instead of contrastive", across="l2"),
    paper("paper_views", "Lc w/ different views", across="views"),
    paper("paper", "Ours (full model)"),
)

TABLE2 = Table(
    title="Table 2: ablation, K = 4",
    panels=(
        Panel(
            title="CUB-200-2011",
            data=("CUB",),
            scores=("fg_nmi", "fg_ari"),
            paper={
                "k-means cluster (VGG19)": (34.9, 14.7),
                "λf = 0": (29.7, 11.7),
                "λc = 0": (41.3, 19.0),
                "λv = 0": (38.5, 17.9),
                "λe = 0": (29.3, 11.2),
                "L2 instead of contrastive": (34.0, 13.4),
                "Lc w/ different views": (44.4, 20.2),
                "Ours (full model)": (46.0, 21.0),
            },
            note=CUB50,
            rows=ROWS,
        ),
        Panel(
            title="DeepFashion",
            data=("DeepFashion",),
            scores=("fg_nmi", "fg_ari"),
            paper={
                "k-means cluster (VGG19)": (30.3, 21.4),
                "λf = 0": (40.3, 40.0),
                "λc = 0": (39.0, 40.1),
                "λv = 0": (31.3, 25.2),
                "λe = 0": (41.5, 42.7),
                "L2 instead of contrastive": (36.7, 32.0),
                "Lc w/ different views": (36.4, 33.4),
                "Ours (full model)": (44.8, 46.6),
            },
            rows=ROWS,
        ),
    ),
)
