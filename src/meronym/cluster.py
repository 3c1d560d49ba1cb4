"""`meronym predict` on several machines: Ray Data gives photos, a few at a time, to workers that load the model once.

The workers write the label maps themselves, so run, photos and output folder lie where every machine sees them under
the same path. What a worker that dies had begun goes to another one; a photo that is labelled is not labelled again.
"""

import logging
import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from meronym.annotations.base import need
from meronym.annotations.png import is_whole
from meronym.model import PartModel, run_folder
from meronym.prediction import LabelledBy, Labeller

PHOTOS = 32
"""That a worker is given at a time, and that are begun again if it dies."""


def at(address: str, run: str | Path) -> LabelledBy:
    """What labels photos on the cluster at this address, for `Predictions.label`. See `labelled`.

    Raises:
        MissingExtra: Ray Data is not installed.
    """
    need("ray.data", "--ray", "ray")
    return partial(labelled, address, run)


class Worker:
    """One process of the cluster."""

    def __init__(self, given: bytes) -> None:
        here, run, self.batch, labeller = pickle.loads(given)
        os.chdir(here)  # paths may begin there
        self.labeller = Labeller(model=PartModel.load(run_folder(run)), **labeller)

    def __call__(self, given: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        photos = given["data"].tolist()
        missing = [i for i in photos if not is_whole(self.labeller.places[i])]
        reasons = dict(self.labeller.labelled(missing, self.batch))
        return {"photo": photos, "reason": [reasons.get(i, "") for i in photos]}


def labelled(
    address: str, run: str | Path, labeller: Labeller, photos: Sequence[int], batch: int
) -> Iterator[tuple[int, str]]:
    """As `Labeller.labelled`, by one worker a GPU of the cluster, or one a core where there is none.

    Args:
        address: of the cluster, or "local" for one on this machine.
        run: the run folder, or "hf:user/name"; each worker loads its model.
        labeller: the photos, and where their label maps go.
        photos: numbers of the photos to label.
        batch: how many of them the network sees at a time.

    Raises:
        ConnectionError: there is no cluster at this address.
    """
    if not photos:
        return
    import ray
    from ray import data

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(f"--ray {address}: no cluster there; `ray start --head` begins one") from error
    try:
        data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0))
        groups = np.array_split(np.array(photos), -(-len(photos) // PHOTOS))
        asked = {"folder": labeller.folder, "collection": labeller.collection, "edits": labeller.edits}
        given = pickle.dumps((Path.cwd(), run, batch, asked))  # or Ray Data looks at every photo, to describe it
        found = data.from_numpy(groups).map_batches(
            Worker,
            fn_constructor_args=(given,),
            batch_size=None,
            compute=data.ActorPoolStrategy(min_size=1, max_size=min(gpus or int(there["CPU"]), len(groups))),
            num_cpus=1,
            num_gpus=1 if gpus else 0,
        )
        for row in found.iter_rows():
            yield row["photo"], row["reason"]
    finally:
        ray.shutdown()
