"""Lines that are appended, read and made into a page."""

import json

import pytest

from meronym.evaluation.results import append, page, read, write_page

LINE = {"collection": "cub50", "split": "test", "protocol": "box", "method": "kmeans", "backbone": "vgg19"}
LINE |= {"parts": 4, "masks": "given", "seed": 0, "fg_nmi": 32.0, "fg_ari": 13.0, "train_seconds": 60.4}


def table(text: str, after: str = "protocol `") -> list[list[str]]:
    """The cells of the first table below a heading that holds these words."""
    text = text[text.index(after) :].partition("\n\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_a_line_says_what_made_it(tmp_path):
    path = append(tmp_path / "results", LINE | {"command": "meronym train"})
    line = json.loads(path.read_text())
    assert path.name == "cub50.jsonl" and line.items() >= LINE.items() and line["command"] == "meronym train"
    assert line["version"] and len(line["date"]) == 10


def test_mean_and_deviation_over_seeds_and_the_latest_wins(tmp_path):
    for seed, score in ((0, 99.0), (1, 34.0), (2, 36.0), (0, 32.0)):
        append(tmp_path, LINE | {"seed": seed, "fg_nmi": score})
    append(tmp_path, LINE | {"method": "contrastive", "seed": 5})
    assert [line["fg_nmi"] for line in read(tmp_path)] == [32.0, 34.0, 36.0, 32.0]
    text = page(tmp_path)
    assert "## cub50, test split, protocol `box`" in text and "±" in text
    head, _, alone, three = table(text)
    assert head == ["K", "backbone", "method", "masks", "FG-NMI", "FG-ARI", "seeds", "training, s"]
    assert three == ["4", "vgg19", "kmeans", "given", "34.0 ± 2.0", "13.0 ± 0.0", "0, 1, 2", "60 ± 0"]
    assert alone == ["4", "vgg19", "contrastive", "given", "32.0", "13.0", "5", "60"]


def test_rows_and_tables_are_sorted(tmp_path):
    for parts in (16, 4, 8):
        for backbone in ("vgg19", "dinov2_vits14"):
            append(tmp_path, LINE | {"parts": parts, "backbone": backbone})
    append(tmp_path, LINE | {"collection": "birds", "protocol": "whole", "nmi": 5.0})
    text = page(tmp_path)
    rows = [row[:2] for row in table(text, "## cub50")[2:]]
    assert rows == [[k, b] for k in ("4", "8", "16") for b in ("dinov2_vits14", "vgg19")]
    assert text.index("## birds") < text.index("## cub50")


def test_a_score_that_not_all_have_is_left_blank(tmp_path):
    append(tmp_path, LINE)
    append(tmp_path, {k: v for k, v in LINE.items() if k != "fg_ari"} | {"parts": 8})
    assert [row[5] for row in table(page(tmp_path))] == ["FG-ARI", "---", "13.0", ""]


def test_the_papers_figures_stand_above_ours(tmp_path):
    for seed, score in ((0, 30.0), (1, 34.0)):
        append(tmp_path, LINE | {"seed": seed, "fg_nmi": score})
    append(tmp_path, LINE | {"method": "contrastive+lambda_c=0.0", "backbone": "dinov2_vits14"})
    whole = {key: value for key, value in LINE.items() if not key.startswith("fg_")} | {"protocol": "whole"}
    append(tmp_path, whole | {"method": "contrastive+lambda_c=0.0", "backbone": "dinov2_vits14"})
    append(tmp_path, LINE | {"method": "contrastive", "protocol": "box"})
    append(tmp_path, whole | {"method": "contrastive", "seed": 1})
    for other in ({"split": "train"}, {"collection": "cubs"}, {"masks": "none"}, {"parts": 8}):
        append(tmp_path, LINE | {"fg_nmi": 99.0} | other)
    text = page(tmp_path)
    head, _, *rows = table(text[text.index("## Table 2") :], "the paper's figures")
    assert head == ["row", "FG-NMI", "FG-ARI", "measured on", "network, K", "why they may differ"]
    assert rows[0] == ["*k-means cluster (VGG19)*", "*34.9*", "*14.7*", "", "", ""]
    assert rows[1][:5] == ["`kmeans_vgg19`", "32.0 ± 2.8", "13.0 ± 0.0", "cub50; 0, 1", "vgg19, 4"] and rows[1][5]
    assert ["`head_no_c`", "32.0", "13.0"] in [row[:3] for row in rows]
    where = {row[0]: row[3] for row in rows}
    assert where["`head_no_c`"] == "cub50; 0" and where["`head_vgg19`"] == "cub50; 0 (box); 1 (whole)"
    assert ["`paper`", "–", "–", "–", "resnet50_caffe / vgg19, 4"] in [row[:5] for row in rows]
    assert text.index("## Table 5") < text.index("## cub50, test split")


@pytest.mark.parametrize("broken", ["{", "3", '{"collection": "cub50"}', "null", ""])
def test_a_broken_line_is_named(tmp_path, broken):
    path = append(tmp_path, LINE)
    path.write_text(path.read_text() + broken + "\n" + path.read_text())
    with pytest.raises(ValueError, match=r"cub50.jsonl, line 2: not a line of results") as caught:
        page(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_folder_of_results(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_page(tmp_path / "none", tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()


def test_benchmarks_have_a_table_of_their_own(tmp_path):
    line = {"benchmark": "objectives", "ours": 0.01, "other": 4.35, "ratio": 435.0, "unit": "s", "compared": "naive"}
    (tmp_path / "benchmarks.jsonl").write_text("".join(json.dumps(line | {"ours": o}) + "\n" for o in (1, 0.01)))
    assert write_page(tmp_path, tmp_path / "docs/page.md").read_text() == page(tmp_path)
    assert table(page(tmp_path), "## Benchmarks")[2] == ["objectives", "0.01 s", "4.35 s", "435", "naive"]
