"""A photo that somebody drops on the page: decoded with care, cut into parts, and forgotten when others follow."""

import secrets
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from meronym.collections import Sample
from meronym.explorer.look import Look, look_at
from meronym.explorer.pictures import SIDE, jpeg
from meronym.explorer.predictor import NOW, Predictor
from meronym.images import BadPhoto, open_photo
from meronym.report.survey import shrunk

MOST_BYTES = 40 * 2**20
MOST_PIXELS = 60_000_000
KEPT = 8
TYPES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO", "PPM")
"""Pillow's decoders that a stranger's file may reach: none of them starts another program."""


@dataclass(frozen=True, eq=False)
class Upload:
    """One photo and its parts. name: as it was called where it came from. seconds: from bytes to parts."""

    name: str
    look: Look
    photo: bytes
    seconds: float


class Uploads:
    """The last few photos, in memory only, each under a token that nobody can guess."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._kept: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()

    def add(self, data: bytes, name: str) -> tuple[str, Upload]:
        """Find the parts of a photo; returns its token with it. Raises `BadPhoto`, which never names a path."""
        start = time.perf_counter()
        with self._one_at_a_time:
            image = decode(data, name)
            sample = shrunk(Sample(name, image), SIDE)
            parts = self.predictor.ask([sample], NOW)[0]
            photo = jpeg(sample.image, SIDE, 88)
        upload = Upload(name, look_at(parts, image.size), photo, time.perf_counter() - start)
        token = secrets.token_hex(8)
        with self._lock:
            self._kept[token] = upload
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return token, upload

    def get(self, token: str) -> Upload:
        """A photo that was added. Raises KeyError for one that was not, or was forgotten."""
        with self._lock:
            return self._kept[token]


def decode(data: bytes, name: str) -> Image.Image:
    """A photo from bytes that may be anything: RGB, upright. Raises `BadPhoto` with `name` for its path."""
    if len(data) > MOST_BYTES:
        raise BadPhoto(name, f"larger than {MOST_BYTES >> 20} MB; make it smaller")
    with tempfile.TemporaryDirectory(prefix="meronym-") as folder:
        path = Path(folder, "photo")
        path.write_bytes(data)
        _check_type(path, name)
        try:
            image = open_photo(path)
        except BadPhoto as error:
            raise BadPhoto(name, error.reason) from error
    if min(image.size) < 8:
        raise BadPhoto(name, f"{image.width}x{image.height} pixels, too small to have parts")
    return image


def _check_type(path: Path, name: str) -> None:
    Image.init()
    try:
        with Image.open(path, formats=[kind for kind in TYPES if kind in Image.OPEN]) as image:
            width, height = image.size
    except Exception as error:  # decoders raise nearly anything on a hostile file
        if isinstance(error, Image.DecompressionBombError):
            raise BadPhoto(name, _too_many()) from error
        kinds = "JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP"
        raise BadPhoto(name, f"not a photo that can be read; give a {kinds}") from error
    if width * height > MOST_PIXELS:
        raise BadPhoto(name, _too_many())


def _too_many() -> str:
    return f"more than {MOST_PIXELS // 1_000_000} megapixels; make it smaller"
