"""What the page shows of a run: its parts as edited, its photos in any order, and figures over all of them.

A thread looks at one photo after the other, spread over the collection, whenever nobody asks for anything, so that the
figures get better while one browses. What it saw is kept in <run>/explorer/ and is there at once the next time.
"""

import hashlib
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meronym import edits as edits_file
from meronym.annotations.colours import hex_colour, palette
from meronym.collections import Collection, CollectionNotFound
from meronym.edits import BadEdits, Edits, Shown, hex_of
from meronym.explorer.cache import Cache, remove_others
from meronym.explorer.look import SHARE, SURE, Look
from meronym.explorer.photos import Photos
from meronym.explorer.predictor import SOMETIME, Predictor
from meronym.explorer.tally import landing, merged, present, scattered, sureness, together, unusual
from meronym.model import PartModel
from meronym.report.survey import PRESENT
from meronym.training.run import Run, as_trained, open_photos, photos_of, trained_on

STRIP = 12
"""Close-ups on each end of a part's strip."""
OFFERED = 24
"""Colours to choose from."""
SORTS = ("collection", "doubt", "sure")
SHOWS = ("all", "wrong", "unread", "with", "without")


class Outdated(ValueError):
    """Edits that were made on a state of the parts that is no longer the current one."""


class Seen(NamedTuple):
    """Figures of the photos that were looked at and are not marked as wrong. numbers: (M,) which photos those are."""

    numbers: np.ndarray
    shown: list[Shown]
    parts: np.ndarray
    keypoints: np.ndarray


class Study:
    """A run and its photos under study. All methods may be called from any thread."""

    def __init__(self, run: str | Path, photos: str | Path | None = None, kind: str | None = None) -> None:
        self.run = Path(run)
        self.model = PartModel.load(self.run)
        settings = Run.read(self.run)
        self.collection = _collection(settings, photos, kind)
        moved = not Path(photos_of(settings)).exists()
        self._own, self._marked = photos is None or moved or trained_on(settings, photos), frozenset[str]()
        self.edits = self._saved()
        self.edits.shown(self.model.names)
        self.revision = 0
        path = self.run / "explorer" / f"cache-{_fingerprint(self.run, self.collection)}.sqlite"
        self.cache = Cache(path)
        remove_others(path)
        self.predictor = Predictor(self.model)
        self.photos = Photos(self.collection, self.predictor, self.cache)
        self.session = secrets.token_hex(4)
        self.aspect = self.photos.aspect()
        self.trouble: str | None = None
        self.numbers = {id_: number for number, id_ in enumerate(self.collection.ids)}
        self._editing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look_around, name="survey", daemon=True)

    def begin(self) -> None:
        """Start to look at the photos, one after the other."""
        self._thread.start()

    def close(self) -> None:
        """End all threads; edits are saved already."""
        self._closed.set()
        self.predictor.close()
        if self._thread.is_alive():
            self._thread.join(timeout=20)
        self.photos.close_pool()
        self.cache.close()

    # -- the parts -----------------------------------------------------------------------------------------

    def shown(self) -> list[Shown]:
        """The parts as they are shown."""
        return self.edits.shown(self.model.names)

    def part(self, number: int) -> Shown:
        """A part as shown, by the number of its namesake. Raises KeyError."""
        for part in self.shown():
            if part.members[0] == number:
                return part
        raise KeyError(number)

    def change(self, content: Mapping[str, Any], revision: int) -> None:
        """Take over edits as the page sends them, in which wrong photos are numbers, and save them.

        Raises:
            Outdated: they were made on another revision than the current one.
            BadEdits: they do not fit the parts; nothing was changed.
        """
        with self._editing:
            self._read_again()
            if revision != self.revision:
                raise Outdated("the parts were changed elsewhere; they are shown as they are now")
            wanted = edits_file.parse({**content, "wrong": []})
            names = {part: edits_file.clean_name(name) for part, name in wanted.names.items()}
            elsewhere = self.edits.wrong - self.numbers.keys()
            wrong = frozenset(self.collection.ids[number] for number in _numbers(content, len(self.collection)))
            edits = Edits(names, wanted.colours, wanted.groups, wrong | elsewhere)
            edits.shown(self.model.names)
            of_run = edits if self._own else replace(edits, wrong=edits_file.load(self.run).wrong)
            of_run.save(self.run)
            self.edits, self._marked = edits, wrong
            self.revision += 1

    def _saved(self) -> Edits:
        """As the run has them; of other photos than its own those are wrong that were marked in this session."""
        saved = edits_file.load(self.run)
        return saved if self._own else replace(saved, wrong=self._marked)

    def _read_again(self) -> None:
        """The file is what counts: it may have been changed by hand, or by another explorer. Raises `BadEdits`."""
        saved = self._saved()
        if saved != self.edits:
            saved.shown(self.model.names)
            self.edits = saved
            self.revision += 1

    def state(self) -> dict[str, Any]:
        """All that the page needs to begin with, whatever the number of photos."""
        with self._editing:
            try:
                self._read_again()
            except BadEdits as error:
                self.trouble = str(error)
            edits = self.edits
        return {
            "collection": self.collection.name,
            "photos": len(self.collection),
            "aspect": round(self.aspect, 3),
            "looked": int(self.photos.figures.seen.sum()),
            "unread": len(self.photos.broken),
            "trouble": self.trouble,
            "parts": [{"members": part.members, "name": part.name, "colour": hex_of(part)} for part in self.shown()],
            "figures": self._extents(),
            "names": self.model.names,
            "palette": [hex_colour(colour) for colour in palette(OFFERED)],
            "keypoints": bool(self.collection.keypoint_names),
            "edits": {
                "names": edits.names,
                "colours": edits.colours,
                "groups": edits.groups,
                "wrong": sorted(self.numbers[id_] for id_ in edits.wrong if id_ in self.numbers),
            },
            "session": self.session,
            "revision": self.revision,
            "version": version("meronym"),
        }

    # -- the photos ----------------------------------------------------------------------------------------

    def order(self, sort: str, show: str, part: int | None = None) -> list[int]:
        """Numbers of photos. Those not looked at yet come last, or not at all where `show` depends on it.

        sort: one of `SORTS`. show: one of `SHOWS`; "with" and "without" go by `part`. Raises KeyError for another.
        """
        figures = self.photos.figures
        numbers = np.arange(len(self.collection))
        if show == "wrong":
            numbers = np.array(sorted(self.numbers[i] for i in self.edits.wrong if i in self.numbers), dtype=int)
        elif show == "unread":
            numbers = np.array(sorted(self.photos.broken), dtype=int)
        elif show in ("with", "without"):
            there = present(merged(figures.parts, [self.part(part or 0).members]))[:, 0]
            numbers = np.flatnonzero(figures.seen & (there == (show == "with")))
        elif show != "all":
            raise KeyError(show)
        if sort == "collection":
            return numbers.tolist()
        direction = {"doubt": 1, "sure": -1}[sort]
        keys = direction * sureness(figures.parts[numbers])
        return numbers[np.argsort(keys, kind="stable")].tolist()  # NaN, which is not seen yet, comes last

    def details(self, look: Look) -> dict[str, Any]:
        """The parts of one photo as shown, the largest first."""
        shown = self.shown()
        figures = merged(look.figures[None], [part.members for part in shown])[0]
        rows = [
            {"part": part.members[0], "share": number(figure[SHARE]), "sure": number(figure[SURE])}
            for part, figure in zip(shown, figures, strict=True)
            if figure[SHARE] > 0
        ]
        rows.sort(key=lambda row: -row["share"])
        return {"size": look.size, "sure": number(sureness(look.figures[None])[0]), "parts": rows}

    # -- figures over all ----------------------------------------------------------------------------------

    def strips(self) -> dict[str, Any]:
        """For each part as shown: how large, how often, how sure, and where it is most and least as usual."""
        seen = self._seen()
        there = present(seen.parts)
        result: list[dict[str, Any]] = []
        for column, part in enumerate(seen.shown):
            figures = seen.parts[:, column]
            distance, why = unusual(figures)
            ranked = [int(i) for i in np.argsort(distance, kind="stable") if np.isfinite(distance[i])]
            half = min(STRIP, (len(ranked) + 1) // 2)
            ends = ranked[:half], ranked[::-1][: min(STRIP, len(ranked) - half)]
            sure = figures[there[:, column], SURE]
            typical, odd = ([self._occurrence(seen, i, column, why[i]) for i in end] for end in ends)
            result.append(
                {
                    "part": part.members[0],
                    "share": number(figures[:, SHARE].mean()) if len(figures) else None,
                    "present": int(there[:, column].sum()),
                    "sure": number(sure[np.isfinite(sure)].mean()) if np.isfinite(sure).any() else None,
                    "typical": [{**item, "why": ""} for item in typical],
                    "odd": odd,
                }
            )
        return {"looked": len(seen.numbers), "strips": result}

    def together(self) -> dict[str, Any]:
        """Which parts come together, and on which part each keypoint lies, as shares; None where nothing is known."""
        seen = self._seen()
        table = np.zeros(256, dtype=np.uint8)
        for place, part in enumerate(seen.shown, start=1):
            table[list(part.members)] = place
        there = present(seen.parts)
        names = self.collection.keypoint_names
        lands = landing(seen.keypoints, table, len(seen.shown)) if names else np.zeros((0, 0))
        return {
            "looked": len(seen.numbers),
            "parts": [part.members[0] for part in seen.shown],
            "present": there.sum(0).tolist(),
            "together": [[number(value) for value in row] for row in together(there)],
            "keypoints": list(names),
            "landing": [[number(value) for value in row] for row in lands],
        }

    def _extents(self) -> list[dict[str, Any]]:
        """For each part as shown its mean share of the object, and in how many photos it is."""
        figures = self.photos.figures
        shares = figures.parts[figures.seen, :, SHARE]
        own = [shares[:, [member - 1 for member in part.members]].sum(1) for part in self.shown()]
        return [
            {"share": number(share.mean()) if len(share) else None, "present": int((share >= PRESENT).sum())}
            for share in own
        ]

    def _occurrence(self, seen: Seen, row: int, column: int, why: str) -> dict[str, Any]:
        figures = seen.parts[row, column]
        return {"photo": int(seen.numbers[row]), "sure": number(figures[SURE]), "why": why}

    def _seen(self) -> Seen:
        edits, shown = self.edits, self.shown()
        figures = self.photos.figures
        with figures.lock:
            used = figures.seen.copy()
            used[[self.numbers[id_] for id_ in edits.wrong if id_ in self.numbers]] = False
            parts, keypoints = figures.parts[used], figures.keypoints[used]
        return Seen(np.flatnonzero(used), shown, merged(parts, [part.members for part in shown]), keypoints)

    def _look_around(self) -> None:
        order = scattered(len(self.collection)).tolist()
        try:
            while order and not self._closed.is_set():
                if not self.predictor.quiet:
                    self._closed.wait(0.1)
                    continue
                group, order = order[: self.predictor.batch], order[self.predictor.batch :]
                unseen = [photo for photo in group if not self.photos.figures.seen[photo]]
                for _ in self.photos.looks(unseen, SOMETIME):
                    pass
        except CancelledError:
            return
        except Exception as error:  # shown on the page; browsing goes on
            if not self._closed.is_set():
                self.trouble = f"not all photos were looked at: {error}".splitlines()[0]


def number(value: float) -> float | None:
    """As JSON takes it: four digits, and None for NaN."""
    return None if np.isnan(value) else round(float(value), 4)


def _numbers(content: Mapping[str, Any], photos: int) -> list[int]:
    wrong = content.get("wrong", [])
    if not isinstance(wrong, list) or any(type(n) is not int or not 0 <= n < photos for n in wrong):
        raise BadEdits(f"wrong photos are a list of numbers from 0 to {photos - 1}")
    return wrong


def _collection(settings: Mapping[str, Any], photos: str | Path | None, kind: str | None) -> Collection:
    """The photos to show: those the run was trained on, unless others are given."""
    try:
        return as_trained(settings, open_photos(settings, photos, kind))
    except CollectionNotFound as error:
        if photos:
            raise
        raise CollectionNotFound(f"{error}; if the photos have moved: meronym explore RUN PHOTOS") from error


def _fingerprint(run: Path, collection: Collection) -> str:
    """What a cache is of: a model's weights, and the names of the photos."""
    digest = hashlib.blake2b(digest_size=8)
    for name in ("config.json", "model.safetensors"):
        path = run / "model" / name if (run / "model").is_dir() else run / name
        digest.update(path.read_bytes())
    digest.update("\0".join(collection.ids).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
