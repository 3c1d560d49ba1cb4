"""The one training loop, on Lightning Fabric.

Fabric brings devices, processes and precision; the loop itself stays in sight, because a run must go on from any
step as if it had never stopped. Which photos and views step s sees is a function of (seed, s), so the state of a
run is the weights, the optimiser and s, and nothing of the loader needs saving.
"""

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from meronym.backbones.precision import native_bf16
from meronym.files import replace_durably
from meronym.progress import progress, say
from meronym.training.run import Run
from meronym.training.samples import Samples

Gather = Callable[[Tensor], Tensor]
Batch = dict[str, Any]


class Interrupted(Exception):
    """Training was asked to stop, and its state is saved."""


class Training(ABC):
    """What a gradient method brings: a network, an optimiser, batches and a loss.

    network: takes the gradient. steps: how many in all. clip: global gradient norm, or None.
    workers: processes that prepare batches (0: the training process itself). samples: pictures to draw now and then.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    steps: int
    clip: float | None = None
    workers: int = 0
    samples: Samples | None = None
    save_every: int = 100
    log_every: int = 10
    last: dict[str, float] = {}  # the terms of the last step logged

    @abstractmethod
    def batch(self, step: int, rank: int, world: int) -> Batch:
        """This process's share of step's batch: a function of (seed, step) alone, whatever came before."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        """The total to minimise, and its terms for the log.

        gather: stacks a tensor of all processes along the first axis, with gradient.
        The gradients of the processes are averaged.
        """

    def rate(self, step: int) -> float:
        """The factor on every learning rate at this step."""
        return 1.0


def make_fabric(mixed: bool = False, one: bool = False) -> Fabric:
    """Every device there is: several GPUs by DDP, one GPU, or the CPU.

    one: a single GPU is enough, as for a head that trains in seconds.
    mixed: bf16 autocast where the hardware computes it, float32 elsewhere.
    A process started by a launcher (torchrun) takes its place among the others.
    """
    gpus, world = torch.cuda.device_count(), int(os.environ.get("WORLD_SIZE", "1"))
    launched = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    devices = launched if world > 1 else 1 if one else max(gpus, 1)
    bf16 = mixed and native_bf16(torch.device("cuda" if gpus else "cpu"))
    fabric = Fabric(
        accelerator="cuda" if gpus else "cpu",
        devices=devices,
        num_nodes=max(world // launched, 1),
        strategy=DDPStrategy(broadcast_buffers=False) if max(world, devices) > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
    )
    fabric.launch()
    return fabric


def optimise(training: Training, run: Run, fabric: Fabric) -> list[tuple[str, str]]:
    """Train to the last step, from the run's checkpoint if there is one. Returns the photos skipped, with reasons.

    Raises Interrupted after SIGINT or SIGTERM, with the state saved.
    """
    network, optimizer = fabric.setup(training.network, training.optimizer)
    network.train()
    start, training.last, skipped = _resume(run, fabric, network, optimizer)
    step = start - 1
    board = _board(run, start) if fabric.is_global_zero else None
    base_rates = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    with _stop_signals() as stopping, progress("training", training.steps, "steps") as advance:
        for step, batch in enumerate(_batches(training, fabric, start), start):
            skipped |= dict(batch.pop("skipped", ()))
            for group, lr in zip(optimizer.param_groups, base_rates, strict=True):
                group["lr"] = lr * training.rate(step)
            total, terms = training.loss(network, batch, lambda x: _gather(fabric, x))
            optimizer.zero_grad()
            fabric.backward(total)
            if training.clip is not None:
                fabric.clip_gradients(network, optimizer, max_norm=training.clip, error_if_nonfinite=False)
            optimizer.step()
            if step % training.log_every == 0 or step == training.steps - 1:
                training.last = _log(run, board, step, {"total": total, **terms}, fabric)
                advance(step + 1, f"loss {total.item():.4g}")
            stop = _agree(fabric, stopping.is_set())
            if stop or (step + 1) % training.save_every == 0 or step == training.steps - 1:
                state = {"network": network, "optimizer": optimizer, "step": step + 1}
                _save(run, fabric, state | {"last": training.last, "skipped": skipped, "seconds": run.seconds})
            if training.samples and fabric.is_global_zero:
                training.samples.draw(step, run)
            if stop:
                break
        if _agree(fabric, stopping.is_set()):  # asked for even while the last step was saved or drawn
            raise Interrupted(f"stopped after step {step + 1} of {training.steps}; the same command goes on")
    if board is not None:
        board.close()
    return sorted(skipped.items())


class _Steps(IterableDataset):
    """Batches of steps start, start + 1, ...; with several workers each makes every n-th."""

    def __init__(self, training: Training, start: int, rank: int, world: int) -> None:
        self.make, self.range, self.place = training.batch, range(start, training.steps), (rank, world)

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        first, stride = (info.id, info.num_workers) if info else (0, 1)
        for step in self.range[first::stride]:
            yield self.make(step, *self.place)


def _batches(training: Training, fabric: Fabric, start: int) -> Iterator[Batch]:
    steps = _Steps(training, start, fabric.global_rank, fabric.world_size)
    workers = training.workers
    loader = DataLoader(
        steps,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_quiet_worker,
    )
    for batch in loader:
        yield {k: v.to(fabric.device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}


def _quiet_worker(_: int) -> None:
    """A worker leaves Ctrl-C, and a SIGTERM to the whole group, to the training process, which saves first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)


def _gather(fabric: Fabric, x: Tensor) -> Tensor:
    if fabric.world_size == 1:
        return x
    gathered: Tensor = fabric.all_gather(x, sync_grads=True)  # type: ignore[assignment]
    if gathered.requires_grad:  # torch sends gradients back as they lie in memory, not by their strides
        gathered.register_hook(torch.Tensor.contiguous)
    return gathered.flatten(0, 1)


def _agree(fabric: Fabric, stop: bool) -> bool:
    """One process was asked to stop: all do, at the same step."""
    if fabric.world_size == 1:
        return stop
    return bool(fabric.all_reduce(torch.tensor(float(stop), device=fabric.device), reduce_op="sum").item())  # type: ignore[union-attr]


def _save(run: Run, fabric: Fabric, state: dict[str, Any]) -> None:
    temporary = run.checkpoint.with_suffix(".part")
    fabric.save(temporary, state)
    if fabric.is_global_zero:
        replace_durably(temporary, run.checkpoint)
    fabric.barrier()


def _resume(
    run: Run, fabric: Fabric, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, dict[str, float], dict[str, str]]:
    """The step to go on with, the terms logged last, and the photos skipped so far."""
    if not run.checkpoint.exists():
        return 0, {}, {}
    state = {"network": network, "optimizer": optimizer}
    rest = fabric.load(run.checkpoint, state, weights_only=True)
    step, run.earlier = int(rest["step"]), rest.get("seconds", 0.0)
    if fabric.is_global_zero:
        run.rewind(step)
        say(f"going on with {run.folder} after step {step}")
    return step, rest["last"], rest["skipped"]


def _board(run: Run, start: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.folder / "tensorboard"), purge_step=start)


def _log(run: Run, board: Any, step: int, terms: dict[str, Tensor], fabric: Fabric) -> dict[str, float]:
    values = torch.stack([value.detach().float().reshape(()) for value in terms.values()])
    if fabric.world_size > 1:
        values = fabric.all_reduce(values, reduce_op="mean")
    logged = dict(zip(terms, values.tolist(), strict=True))  # type: ignore[union-attr]
    if board is not None:
        run.log(step, logged)
        for name, value in logged.items():
            board.add_scalar(name, value, step)
    return logged


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask for a stop after the step in hand; a second Ctrl-C stops at once."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def ask(number: int, _: object) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()
        say("stopping after this step ...")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
