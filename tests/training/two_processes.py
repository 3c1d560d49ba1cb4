"""Gradients and a few steps of both gradient methods, as one process or as one of several. Run as a program."""

import sys
from pathlib import Path

import numpy as np
import torch

from meronym.backbones import load_backbone
from meronym.collections import open_collection
from meronym.features import FeatureSet
from meronym.heads import LinearHead
from meronym.methods.contrastive import Contrastive, HeadTraining
from meronym.methods.contrastive_deeplab import ContrastiveDeepLab, DeepLabTraining
from meronym.segmenters import DeepLab
from meronym.training.loop import Training, _gather, make_fabric, optimise
from meronym.training.run import Run

PARTS = 3


def head_training(folder: Path) -> HeadTraining:
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.npy" for i in range(8)]
    for path, features in zip(paths, rng.standard_normal((8, 12, 6, 6), dtype=np.float32), strict=True):
        if not path.exists():
            np.save(path, features)
    foreground = rng.integers(0, 256, (8, 6, 6), dtype=np.uint8)
    features = FeatureSet(list(range(8)), paths, foreground, [], foreground.repeat(2, 1).repeat(2, 2))
    head = LinearHead(12, PARTS)
    head.start_from(torch.from_numpy(rng.standard_normal((PARTS, 12), dtype=np.float32)), 0.1)
    method = Contrastive(backbone="efficientnet_lite0", steps=5, batch=4, centre=0.5).resolved(PARTS)
    return HeadTraining(method, head, features, seed=0)


def deeplab_training() -> DeepLabTraining:
    torch.manual_seed(0)
    network = DeepLab(PARTS, size=32).double()  # in float32, rounding grows through fifty layers without statistics
    phi = load_backbone("vgg19", weights="random", layers=("relu3_2", "relu5_4"), precision="fp32")
    method = ContrastiveDeepLab(size=32, batch=4, workers=0)
    return DeepLabTraining(method, network, phi, open_collection("toy:8", seed=0).split("train"), seed=0)


def gradients(training: Training, fabric) -> dict[str, torch.Tensor]:
    """Of step 2's loss. In evaluation mode: the statistics of a batch norm are those of one process's photos."""
    network, _ = fabric.setup(training.network, training.optimizer)
    network.eval()
    batch = training.batch(2, fabric.global_rank, fabric.world_size)
    total, _ = training.loss(network, batch, lambda x: _gather(fabric, x))
    fabric.backward(total)
    return {name: p.grad for name, p in training.network.named_parameters() if p.grad is not None}


def trained(training: Training, fabric, folder: Path) -> dict[str, torch.Tensor]:
    training.log_every, training.save_every = 1, 2
    optimise(training, Run(folder, {}), fabric)
    return training.network.state_dict()


def everything(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    fabric = make_fabric()
    name = f"run-{fabric.world_size}"
    return {
        "head": gradients(head_training(folder), fabric),
        "deeplab": gradients(deeplab_training(), fabric),
        "trained": trained(head_training(folder), fabric, folder / name),
    }


if __name__ == "__main__":
    found = everything(Path(sys.argv[1]))
    if torch.distributed.get_rank() == 0:
        torch.save(found, Path(sys.argv[1]) / "two.pt")
