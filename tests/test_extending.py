"""docs/extending.md, followed to the letter in a copy of the package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

import meronym
from meronym.collections import open_collection

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")


def add(lines: str, path: Path) -> None:
    """Each line with a + comes after the line above it in the block."""
    text = path.read_text(encoding="utf-8")
    above = ""
    for line in lines.splitlines():
        if line.startswith("+"):
            assert text.count(f"{above}\n") == 1, f"{path.name} has no line {above!r}"
            text = text.replace(f"{above}\n", f"{above}\n{line[1:]}\n")
        above = line[1:]
    path.write_text(text, encoding="utf-8")


def test_the_page(tmp_path):
    shutil.copytree(
        Path(meronym.__file__).parent, tmp_path / "src/meronym", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, kind, block in re.findall(r"^`(src/\S+)`:\n\n```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE):
        path = tmp_path / name
        path.write_text(block, encoding="utf-8") if kind == "python" else add(block, path)
    (tmp_path / "birds").mkdir()
    for i, sample in enumerate(open_collection("toy:6", seed=0).split("train")):
        sample.image.save(tmp_path / f"birds/{i}.jpg")
        Image.fromarray(sample.mask).save(tmp_path / f"birds/{i}.mask.png")
    command = tmp_path / "bin/meronym"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from meronym.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "src"),
        "PATH": f"{command.parent}:{os.environ['PATH']}",
    }
    (script,) = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "found 6 photos (6 with masks) beside their masks in birds/" in done.stderr
    config = json.loads((tmp_path / "runs/birds/model/config.json").read_text())
    assert config["about"]["method"] == "random_cells" and config["about"]["sharpness"] == 5.0
    contract = ["tests/methods/test_contract.py", "-qk", "random_cells and (save_and_load or bad_photos)"]
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *contract]
    done = subprocess.run(tests, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout
