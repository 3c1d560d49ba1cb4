"""An endless training of next to nothing, its batches made by two workers; code 7 where it was asked to stop."""

import sys
import time

import torch

from meronym.training.loop import Interrupted, Training, make_fabric, optimise
from meronym.training.run import Run


class Endless(Training):
    steps, workers, log_every = 1_000_000, 2, 1

    def __init__(self) -> None:
        self.network = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3)

    def batch(self, step, rank, world):
        time.sleep(0.1)
        return {"x": torch.ones(3, 2)}

    def loss(self, network, batch, gather):
        total = network(batch["x"]).square().mean()
        return total, {}


if __name__ == "__main__":
    try:
        optimise(Endless(), Run(sys.argv[1], {}), make_fabric())
    except Interrupted:
        sys.exit(7)
