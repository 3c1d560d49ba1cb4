"""The most salient object, as a network that was trained on people's masks of salient objects sees it.

"U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Qin, Zhang, Huang, Dehghan, Zaiane,
Jagersand, Pattern Recognition 106, 2020; Apache-2.0. The network comes as an ONNX file (u2netp.onnx or u2net.onnx) in
the folder that MERONYM_WEIGHTS names. Its first output is taken as it is, where the published code stretches it to 0..1
in each photo: so a photo may hold no object.
"""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from meronym.annotations.base import MissingExtra
from meronym.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from meronym.backbones.weights import WeightsNotFound
from meronym.images import averaged
from meronym.masks.base import Finder

SIDE, GRID = 320, 80
NAMES = ("u2net.onnx", "u2netp.onnx")


class U2Net(Finder):
    on_features = False
    network = "u2net"

    def __init__(self) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtra('u2net needs onnxruntime: pip install "meronym[export]"') from error
        path = weights_file()
        self.network = path.stem
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def find(self, seen: Image.Image) -> Float[np.ndarray, "h w"]:
        photo = np.asarray(seen.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
        photo = (photo / max(float(photo.max()), 1e-6) - IMAGENET_MEAN) / IMAGENET_STD
        given = {self.session.get_inputs()[0].name: photo.transpose(2, 0, 1)[None].astype(np.float32)}
        share = np.asarray(self.session.run(None, given)[0])[0, 0].clip(0, 1)
        return averaged(share, (GRID, GRID))


def weights_file() -> Path:
    """The network's file. Raises WeightsNotFound with one line that says what file to put where."""
    folder = os.environ.get("MERONYM_WEIGHTS")
    found = [path for name in NAMES if folder and (path := Path(folder).expanduser() / name).is_file()]
    if not found:
        where = folder or "a folder, and name it in MERONYM_WEIGHTS"
        raise WeightsNotFound(
            f"u2net: no weights; put {' or '.join(NAMES)} (from the project xuebinqin/U-2-Net) in {where}"
        )
    return found[0]
