"""Table 5: PASCAL-Part, a model for each of ten classes, K = 4; and the form of its class car on CarParts.

`pascal_part` is a collection of one class, so that every method, also the factorisation of DFF, sees one at a time.
"""

from meronym.recipes.base import HEADS, PAPER_CONFIGURATION, PASCAL, Panel, Row, Table

ROWS = (
    Row(
        name="dff",
        method="dff",
        beside="DFF",
        why="only the object's cells, of DINOv2 features; theirs finds foreground and parts at once, on VGG-19",
    ),
    Row(
        name="scops",
        method="scops",
        beside="SCOPS",
        why="its terms written anew, for a head on frozen DINOv2 features; theirs finds foreground and parts at once",
    ),
    Row(
        name="kmeans",
        method="kmeans",
        beside="K-means",
        why="on DINOv2 features as they are; theirs are VGG-19's",
        settings={"centre": 0.0},
    ),
    *HEADS,
    Row(
        name="paper",
        beside="Ours",
        why="the published weights for birds; those for PASCAL-Part are not public",
        **PAPER_CONFIGURATION,
    ),
)

NMI = {
    "DFF": (12.2, 14.4, 12.7, 19.1, 16.4, 13.5, 9.0, 17.8, 14.8, 18.0),
    "SCOPS": (26.5, 29.4, 28.8, 35.4, 35.1, 35.7, 33.6, 28.9, 30.1, 33.7),
    "K-means": (34.5, 33.3, 33.0, 38.9, 42.8, 37.5, 38.4, 35.2, 40.4, 44.2),
    "Ours": (35.0, 37.4, 35.3, 40.5, 45.1, 38.8, 36.8, 34.8, 46.6, 47.9),
}
ARI = {
    "DFF": (21.6, 32.3, 23.3, 37.2, 38.3, 28.5, 24.1, 39.1, 32.3, 37.5),
    "SCOPS": (46.3, 55.7, 51.2, 59.2, 68.0, 66.0, 67.1, 52.4, 52.2, 46.6),
    "K-means": (58.3, 66.8, 59.0, 63.1, 76.8, 66.4, 70.6, 63.2, 70.2, 71.9),
    "Ours": (59.8, 68.9, 59.7, 64.7, 79.6, 67.6, 72.7, 64.7, 73.6, 75.4),
}
CAR = PASCAL.index("car")

TABLE5 = Table(
    title="Table 5: PASCAL-Part, one model a class, K = 4",
    panels=(
        Panel(title="PASCAL-Part, NMI", data=PASCAL, scores=("nmi",), paper=NMI, rows=ROWS),
        Panel(title="PASCAL-Part, ARI", data=PASCAL, scores=("ari",), paper=ARI, rows=ROWS),
        Panel(
            title="CarParts in the place of the class car",
            data=("CarParts",),
            scores=("nmi", "ari", "fg_nmi", "fg_ari"),
            paper={name: (NMI[name][CAR], ARI[name][CAR], None, None) for name in NMI},
            note="The paper's figures are on the cars of PASCAL-Part and do not compare: other photos, 18 kinds of "
            "part.",
            rows=ROWS,
        ),
    ),
)
