"""Write a run's report: report.html, and its pictures under report/."""

import json
import math
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from PIL import Image

from meronym.collections import Collection
from meronym.evaluation.results import SCORES
from meronym.files import write_atomically
from meronym.model import PartModel
from meronym.parts import Parts, palette
from meronym.report.curves import chart, read_curves
from meronym.report.outline import overlay_svg
from meronym.report.page import Page, PartRow, Tile, facts_of
from meronym.report.pictures import around_object, close_up, heat_map
from meronym.report.sheet import overlay_sheet, resized
from meronym.report.survey import Survey, survey

SURVEYED = 64
"""Photos that the figures of the parts come from, where the collection has as many."""
CROPS = 8
TILE_SIDE = 560


def write_report(
    run_folder: str | Path,
    model: PartModel,
    collection: Collection,
    *,
    photos: int = 24,
    seed: int = 0,
    skipped: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a page that shows what a run found: photos with their parts, each part's best crops, the loss.

    <run>/report.html opens in any browser as a file, with its pictures in <run>/report/; both are written
    anew. It reads <run>/settings.yaml, metrics.csv and scores.json (metric to value ×100) where they are
    there. Memory and time are bounded, whatever the size of the collection; a photo that cannot be read is
    left out and named.

    Args:
        run_folder: made if it is not there.
        model: what the run found.
        collection: photos to show, most often those it was trained on.
        photos: how many to show, spread over the collection.
        seed: which ones.
        skipped: (id, reason) of photos that training left out, to be named beside `collection.skipped`.

    Returns:
        The path of the page.

    Raises:
        ValueError: `photos` is below 1.
    """
    if photos < 1:
        raise ValueError(f"photos={photos}: a report shows at least 1 photo")
    folder = Path(run_folder)
    pictures = _Pictures(folder / "report")
    found = survey(model, collection, max(photos, SURVEYED), seed)
    tiles, sheet = _gallery(found, model, photos, pictures)
    broken = dict((*collection.skipped, *skipped, *found.left_out))
    page = Page(
        collection=collection.name,
        lead=_lead(model),
        facts=facts_of(model.about, len(collection) - len(broken.keys() & set(collection.ids)), len(broken)),
        scores=_scores(folder / "scores.json"),
        skipped=list(broken.items()),
        settings=_text(folder / "settings.yaml"),
        tiles=tiles,
        sheet=sheet,
        parts=[_row(found, model, part, pictures) for part in range(1, model.parts + 1)],
        colours=palette(model.parts),
        surveyed=len(found),
        thing="object" if found.on_objects else "photo",
        charts=_charts(folder, model),
        landings=sorted(path.name for path in folder.glob("landing-*.svg")),
        version=_version(),
    )
    path = folder / "report.html"
    write_atomically(path, page.html())
    pictures.remove_old()
    return path


class _Pictures:
    """The folder of a report's pictures. Those of an earlier report are removed once the new page stands."""

    OURS = ("photo-*.webp", "part-*.webp", "where-*.png", "overlays.jpg")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.written: set[str] = set()

    def save(self, image: Image.Image, name: str) -> str:
        """Write one picture; returns its path relative to the page."""
        image.save(self.folder / name, quality=84)
        self.written.add(name)
        return f"{self.folder.name}/{name}"

    def remove_old(self) -> None:
        for pattern in self.OURS:
            for path in self.folder.glob(pattern):
                if path.name not in self.written:
                    path.unlink(missing_ok=True)


def _gallery(found: Survey, model: PartModel, photos: int, pictures: _Pictures) -> tuple[list[Tile], str | None]:
    """Tiles of photos spread over those seen, and all of them on one picture."""
    count = min(photos, len(found))
    shown: list[Parts] = []
    tiles = []
    for number in range(1, count + 1):
        seen = found.seen[(number - 1) * len(found) // count]
        parts = around_object(seen.parts(model), seen.box)
        parts = resized(parts, min(1.0, TILE_SIDE / max(parts.size)))
        src = pictures.save(parts.image, f"photo-{number:03d}.webp")  # type: ignore[arg-type]
        tiles.append(Tile(seen.id, src, overlay_svg(parts.labels), parts.size[0] / parts.size[1]))
        shown.append(parts)
    sheet = pictures.save(overlay_sheet(shown, min(6, count), width=1500), "overlays.jpg") if shown else None
    return tiles, sheet


def _charts(folder: Path, model: PartModel) -> list[str]:
    """The loss, and how stable each number of parts was, if that was looked at."""
    charts = [chart(name, curve) for name, curve in read_curves(folder / "metrics.csv").items()]
    if stable := model.about.get("stability"):
        curve = np.array([int(k) for k in stable], float), np.array(list(stable.values()), float)
        charts.append(chart("agreement of two halves of the photos", curve, along="number of parts"))
    return charts


def _row(found: Survey, model: PartModel, part: int, pictures: _Pictures) -> PartRow:
    crops = []
    for number, seen in enumerate(found.best(part, CROPS), start=1):
        picture = close_up(seen.parts(model), part)
        crops.append((pictures.save(picture, f"part-{part:02d}-{number}.webp"), seen.id))
    where = None
    if crops:
        heat = heat_map(found.where[part - 1], found.silhouette, palette(model.parts)[part - 1])
        where = pictures.save(heat, f"where-{part:02d}.png")
    name, share = model.names[part - 1], float(found.share()[part - 1])
    present, sure = int(found.present()[part - 1]), float(found.sureness()[part - 1])
    steady = float(model.about.get("steadiness", [math.nan] * model.parts)[part - 1])
    return PartRow(name, share, present, sure, crops, where, steady)


def _lead(model: PartModel) -> str:
    """ "contrastive on dinov2_vits14, seed 0"."""
    about = model.about
    text = str(about.get("method", "parts"))
    text += f" on {about['backbone']}" if about.get("backbone") else ""
    return text + (f", seed {about['seed']}" if "seed" in about else "")


def _scores(path: Path) -> list[tuple[str, str]]:
    """("FG-NMI", "46.3") for each number in scores.json; none if there is no such file, or it is damaged."""
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    items = scores.items() if isinstance(scores, dict) else ()
    numbers = [(k, v) for k, v in items if isinstance(v, int | float) and math.isfinite(v)]
    return [(SCORES.get(name) or name.upper().replace("_", "-"), f"{value:.1f}") for name, value in numbers]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _version() -> str:
    try:
        return version("meronym")
    except PackageNotFoundError:  # run from its source
        return ""
