"""Tables that are measured row by row: what stands is left alone, what is missing is said, and the rest goes on."""

import json
from pathlib import Path

import pytest

from makers import make_cub, make_label_maps
from meronym import cli, commands, reproduce, reproduction
from meronym.evaluation.lines import plain, unusual
from meronym.evaluation.regression import BASELINES
from meronym.recipes import DATA, TABLES, Panel, Row, Table
from meronym.recipes.base import PASCAL

SMALL = {"method": "kmeans", "backbone": "efficientnet_lite0", "parts": 2, "protocols": ("box",), "seeds": (0,)}
SMALL |= {"beside": None, "why": "small"}
ROWS = [(table, panel, row) for table in TABLES.values() for panel in table.panels for row in panel.rows]
SCORES = {"box": {"fg_nmi", "fg_ari"}, "whole": {"nmi", "ari"}, "regression": {"kpr", "kpr_001", "kpr_002", "kpr_003"}}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A table of the given rows on six birds; a function that measures it and returns what became of the rows."""
    monkeypatch.chdir(tmp_path)
    make_cub(Path("birds"))
    Path("birds/parts/parts.txt").write_text("1 back\n2 throat\n")

    def measure(*rows: Row, data: tuple[str, ...] = ("CUB",), **options) -> dict[str, str]:
        panel = Panel(title="birds", data=data, scores=("fg_nmi",), rows=rows)
        monkeypatch.setitem(TABLES, "small", Table(title="small", panels=(panel,)))
        return reproduce("small", root="birds", **options)

    return measure


def lines() -> list[dict]:
    return [json.loads(text) for path in Path("results").glob("*.jsonl") for text in path.read_text().splitlines()]


def test_an_interrupted_table_goes_on_and_what_stands_is_not_computed_again(small, monkeypatch, capsys):
    first = Row(name="first", settings={"size": 64}, **SMALL)
    second = Row(name="second", settings={"size": 64, "centre": 0.5}, **SMALL)
    with monkeypatch.context() as patch:
        evaluate, trained = commands.evaluate, []

        def stop_at_the_second(run, *rest, **given):
            trained.append(Path(run))
            if len(trained) == 2:
                raise KeyboardInterrupt
            return evaluate(run, *rest, **given)

        patch.setattr(commands, "evaluate", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            small(first, second)
    assert len(lines()) == 1
    weights = [run / "model/model.safetensors" for run in trained]
    times = [path.stat().st_mtime_ns for path in weights]
    weights[0].unlink()  # were the first row touched again, it would fail
    assert small(first, second) == {"first on CUB": "stands", "second on CUB": "measured"}
    assert weights[1].stat().st_mtime_ns == times[1]
    assert [line["method"] for line in lines()] == ["kmeans+size=64", "kmeans+size=64+centre=0.5"]
    said = capsys.readouterr()
    assert "second" in said.err and "0 of 1 evaluations stand" in said.err
    assert f"| `second` | {lines()[1]['fg_nmi']:.1f} | cub2; 0 |" in said.out
    assert small(first, second, seeds=(1,)) == {"first on CUB": "measured", "second on CUB": "measured"}
    assert [line["seed"] for line in lines()] == [0, 0, 1, 1]


def test_a_row_without_masks_is_another_one(small):
    given = Row(name="given", settings={"size": 128}, **SMALL)
    without = Row(name="without", settings={"size": 128, "masks": "none"}, masks="none", **SMALL)
    assert small(given, without) == {"given on CUB": "measured", "without on CUB": "measured"}
    assert [line["masks"] for line in lines()] == ["given", "none"]
    assert small(given, without) == {"given on CUB": "stands", "without on CUB": "stands"}


def test_lines_of_another_collection_do_not_stand(small):
    row = Row(name="only", settings={"size": 64}, **SMALL)
    assert small(row) == {"only on CUB": "measured"}
    Path("results/cub.jsonl").write_text(json.dumps(lines()[0] | {"collection": "cub"}) + "\n")
    Path("results/cub2.jsonl").unlink()
    assert small(row) == {"only on CUB": "measured"}


def test_what_is_missing_is_said_and_the_others_go_on(small, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    weights = Row(name="weights", **SMALL | {"backbone": "resnet50_caffe"})
    gpu = Row(name="gpu", settings={"size": 64}, gpu=True, **SMALL)
    fails = Row(name="fails", **SMALL | {"parts": 400})
    midpoint = Row(name="midpoint", **SMALL | {"method": "midpoint", "backbone": "none", "parts": 1, "masks": "none"})
    found = small(weights, gpu, fails, midpoint, data=("CUB", "DeepFashion"))
    assert "resnet50_caffe is on no hub; put resnet50_caffe*" in found["weights on CUB"]
    assert found["gpu on CUB"].startswith("missing: it needs a GPU") and "--row gpu" in found["gpu on CUB"]
    assert found["fails on CUB"].startswith("failed: --parts 400: between 2 and 64")
    assert found["midpoint on CUB"] == "measured"
    assert found["gpu on DeepFashion"].startswith("missing: birds holds no DeepFashion/: get DeepFashion's")
    assert small(weights, gpu, fails, row=("gpu",)) == {"gpu on CUB": "measured"}


@pytest.mark.parametrize(("row", "code"), [("weights", 0), ("fails", 1)])
def test_the_exit_code_says_whether_a_row_failed(small, monkeypatch, row, code):
    small(Row(name="weights", **SMALL | {"backbone": "resnet50_caffe"}), Row(name="fails", **SMALL | {"parts": 400}))
    monkeypatch.setattr("sys.argv", ["meronym", "reproduce", "small", "--root", "birds", "--row", row])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code


def test_what_there_is_is_listed(capsys):
    assert reproduce() == {}
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [*TABLES, *reproduction.FIGURES] and {"table1", "table5", "best"} <= set(listed)
    assert reproduce("table1") == {} and "0 of 9 evaluations stand" in capsys.readouterr().err


def test_a_figure_is_drawn(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(reproduction.FIGURES, "figure9", lambda root, runs, out: out / f"{root.name}.png")
    with pytest.raises(ValueError, match="--root is missing: the folder of the data sets that figure9 is drawn from"):
        reproduce("figure9")
    assert reproduce("figure9", root=tmp_path, out="drawn") == {}
    assert capsys.readouterr().err == f"figure9 is in drawn/{tmp_path.name}.png\n"


def test_the_folder_of_data_sets_or_one_of_them(tmp_path):
    make_label_maps(tmp_path / "CCP")
    assert reproduction._place(DATA["CCP"], tmp_path) == reproduction._place(DATA["CCP"], tmp_path / "CCP")
    for name in ("CUB", "sheep", "CarParts"):
        with pytest.raises(reproduction.Missing, match=f"holds no {DATA[name].folder}/: get "):
            reproduction._place(DATA[name], tmp_path / "CCP")


@pytest.mark.parametrize("row", [row for _, _, row in ROWS], ids=lambda row: f"{row.name}-k{row.parts}")
def test_a_row_names_its_method_as_its_results_do(row):
    if row.network == "none":
        assert row.method.split("+")[0] in BASELINES
        return
    method = commands._method(row.method, row.backbone, row.settings).resolved(row.parts)
    before = {"parts": row.parts} | plain(method.settings())
    others = [word for word in unusual(before) if word != "masks=none" and "workers" not in word]
    assert row.label == row.method + "".join(f"+{word}" for word in others)
    assert row.network == row.backbone or row.network == f"{before['trunk']} / {before['phi']}"


@pytest.mark.parametrize("panel", [p for table in TABLES.values() for p in table.panels], ids=lambda panel: panel.title)
def test_the_papers_figures_have_their_columns_and_rows(panel):
    assert all(len(figures) == len(panel.columns) for figures in panel.paper.values())
    assert {row.beside for row in panel.rows} <= {*panel.paper, None} and set(panel.data) <= set(DATA)
    assert len({row.name for row in panel.rows}) == len(panel.rows)
    for row in panel.rows:
        assert row.why and set().union(*(SCORES[protocol] for protocol in row.protocols)) & set(panel.scores)


def test_the_papers_figures_are_the_papers(shared):
    text = shared / "reference/paper.txt"
    if not text.exists():
        pytest.skip(f"no {text}")
    panels = [p for table in TABLES.values() for p in table.panels if p.data in (("CUB",), ("DeepFashion",), PASCAL)]
    figures = [row for panel in panels for row in panel.paper.values()]
    assert len(figures) == 9 + 8 + 8 + 5 + 2 + 4 + 4
    for row in figures:
        assert " ".join("-" if value is None else str(value) for value in row) in text.read_text()
