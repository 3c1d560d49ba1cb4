"""`PartModel`: the discovered parts. Photo in, `Parts` out; saved as a folder of config and safetensors."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from meronym.backbones import FeatureCache, Job, cached_features
from meronym.collections import Collection, Sample
from meronym.images import BadPhoto, Window, crop_mask, crop_photo, open_photo
from meronym.parts import Parts
from meronym.segmenters import HeadSegmenter, Segmenter, build

Photo = str | Path | Image.Image | np.ndarray


@dataclass(eq=False)
class PartModel:
    """K parts of one category.

    segmenter: the network. names: one a part, unique. about: settings and measurements of the training that made it.
    """

    segmenter: Segmenter
    names: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.segmenter.eval()
        self.names = self.names or tuple(f"part {k}" for k in range(1, self.parts + 1))
        if len(self.names) != self.parts or len(set(self.names)) != self.parts:
            raise ValueError(f"{self.parts} parts need as many different names, got {', '.join(self.names)}")

    @property
    def parts(self) -> int:
        return self.segmenter.parts

    def predict(
        self, photo: Photo, mask: np.ndarray | None = None, box: Window | None = None
    ) -> Parts:
        """The parts of one photo: a path, a Pillow image, or an RGB uint8 array (H, W, 3).

        mask: bool (H, W), where the object is; outside it is background. box: x0, y0, x1, y1 around it.
        With neither, the whole photo is cut into parts. Raises BadPhoto for a photo that cannot be used.
        """
        image, name = _as_image(photo)
        if mask is not None and mask.shape != (image.height, image.width):
            raise BadPhoto(name or "photo", f"its mask is {mask.shape[1]}x{mask.shape[0]}, the photo {image.width}x{image.height}")
        return next(self.stream([Sample(id=name or "", image=image, mask=mask, box=box)]))

    def stream(self, samples: Iterable[Sample], batch: int = 8) -> Iterator[Parts]:
        """The parts of many photos, in order, in constant memory."""
        samples = iter(samples)
        with ThreadPoolExecutor(4) as pool:
            while group := list(islice(samples, batch)):
                views = list(pool.map(self.view, group))
                for sample, view, logits in zip(group, views, self.logits(views), strict=True):
                    yield self._parts(sample, view, logits)

    def view(self, sample: Sample, window: Window | None = None) -> "View":
        """What the network sees of a sample: the window of its object (or the one given), and its foreground."""
        window = window or self.segmenter.window(object_box(sample))
        return look(sample, window, self.segmenter.frame(window))

    @torch.inference_mode()
    def logits(self, views: list["View"]) -> list[Float[Tensor, "K h w"]]:
        """Logits of each view, on the network's grid. Views of one size run as one batch."""
        device = next(self.segmenter.parameters()).device
        results: list[Tensor] = [torch.empty(0)] * len(views)
        for size in {view.photo.size for view in views}:
            rows = [i for i, view in enumerate(views) if view.photo.size == size]
            images = torch.stack([to_tensor(views[i].photo) for i in rows]).to(device)
            known = all(views[i].foreground is not None for i in rows)
            foreground = torch.stack([torch.from_numpy(views[i].foreground) for i in rows]).to(device) if known else None
            for i, logits in zip(rows, self.segmenter(images, foreground).float().cpu(), strict=True):
                results[i] = logits
        return results

    def _parts(self, sample: Sample, view: "View", logits: Float[Tensor, "K h w"]) -> Parts:
        width, height = sample.image.size
        labels, confidence = paint(logits, view.window, (width, height), self.segmenter.corners)
        if sample.mask is not None:
            labels = labels * sample.mask
        return Parts(labels=labels, names=self.names, confidence=confidence, id=sample.id, image=sample.image)

    def save(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors; a frozen backbone is named, not copied."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous().cpu() for name, tensor in self.segmenter.own_state().items()}
        save_file(state, folder / "model.safetensors.part")
        (folder / "model.safetensors.part").replace(folder / "model.safetensors")
        config = {
            "meronym": version("meronym"),
            "segmenter": self.segmenter.config(),
            "names": list(self.names),
            "about": self.about,
        }
        (folder / "config.json.part").write_text(json.dumps(config, indent=2) + "\n")
        (folder / "config.json.part").replace(folder / "config.json")
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "PartModel":
        """A saved model, from its folder or from the run folder around it."""
        folder = Path(folder)
        folder = folder if (folder / "config.json").exists() else folder / "model"
        if not (folder / "config.json").exists():
            raise FileNotFoundError(f"{folder.parent}: no model there; `meronym train` makes one, and an unfinished run goes on with its own command")
        config = json.loads((folder / "config.json").read_text())
        segmenter = build(config["segmenter"], load_file(folder / "model.safetensors"))
        return cls(segmenter, tuple(config["names"]), config["about"])


@dataclass(frozen=True, eq=False)
class View:
    """A window of a photo as a network sees it. foreground: float32 (h, w) in 0..1, None where it is not known."""

    window: Window
    photo: Image.Image
    foreground: np.ndarray | None


def look(sample: Sample, window: Window, size: tuple[int, int]) -> View:
    """Crop a sample to a window, resized to size (width, height)."""
    foreground = None if sample.mask is None else crop_mask(sample.mask, window, size)
    return View(window, crop_photo(sample.image, window, size), foreground)


def object_box(sample: Sample) -> Window:
    """The box around the object: as given, else that of its mask, else the whole photo."""
    if sample.box is not None:
        return sample.box
    if sample.mask is not None and sample.mask.any():
        rows, columns = (np.flatnonzero(sample.mask.any(axis)) for axis in (1, 0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    return 0.0, 0.0, float(sample.image.width), float(sample.image.height)


def to_tensor(image: Image.Image) -> Float[Tensor, "3 H W"]:
    """RGB in [0, 1]."""
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 255


def paint(
    logits: Float[Tensor, "K h w"], window: Window, size: tuple[int, int], corners: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (uint8, part k is k + 1, 0 outside the window) and confidence (float32) at a photo's own size (w, h)."""
    width, height = size
    x0, y0, x1, y1 = (round(v) for v in window)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    labels, confidence = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    if right > left and bottom > top:
        fine = F.interpolate(logits[None], (y1 - y0, x1 - x0), mode="bilinear", align_corners=corners)[0]
        fine = fine[:, top - y0 : bottom - y0, left - x0 : right - x0]
        best, label = fine.softmax(0).max(0)
        labels[top:bottom, left:right] = label.numpy() + 1
        confidence[top:bottom, left:right] = best.numpy()
    return labels, confidence


def _as_image(photo: Photo) -> tuple[Image.Image, str | None]:
    match photo:
        case str() | Path():
            return open_photo(photo), str(photo)
        case Image.Image():
            return photo.convert("RGB"), None
        case np.ndarray() if photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8:
            return Image.fromarray(photo), None
        case np.ndarray():
            raise ValueError(f"an array photo is RGB uint8 (H, W, 3), got {photo.dtype} {photo.shape}")
    raise ValueError(f"a photo is a path, a Pillow image or an array, got {type(photo).__name__}")
