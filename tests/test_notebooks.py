"""The notebooks of the docs run from top to bottom, in a kernel of their own; they are kept without outputs."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, request, monkeypatch, tmp_path):
    if path.stem == "cub":
        root = request.getfixturevalue("shared") / "data" / "CUB_200_2011"
        if not root.is_dir():
            pytest.skip("no CUB-200-2011 in the shared data")
        monkeypatch.setenv("CUB", str(root))
    if path.stem == "export":
        pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    nbclient.NotebookClient(
        nbformat.read(path, as_version=4), timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
