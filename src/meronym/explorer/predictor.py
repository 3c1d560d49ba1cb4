"""The model, asked by many at once: one thread computes, the most urgent question first."""

import itertools
import threading
import time
from concurrent.futures import CancelledError, Future
from queue import PriorityQueue
from typing import Any

from meronym.collections import Sample
from meronym.model import PartModel
from meronym.parts import Parts

NOW, SOON, SOMETIME = range(3)
"""A person waits; a person asked for a long piece of work; nobody has asked yet."""
PATIENCE = 0.35
"""Seconds that a batch should take at most: so long may a person have to wait for the one under way."""
QUIET = 0.6
"""Seconds after which nobody is expected to ask for more at once."""
MOST = 8


class Predictor:
    """Answers `ask` from any thread. Batches are as small as the machine is slow, so that no question waits long."""

    def __init__(self, model: PartModel) -> None:
        self.model = model
        self._queue: PriorityQueue[tuple[int, int, Any]] = PriorityQueue()
        self._numbers = itertools.count()
        self._seconds = PATIENCE  # a photo; measured as it goes
        self._asked = 0.0  # when a person last waited
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="predictor", daemon=True)
        self._thread.start()

    @property
    def batch(self) -> int:
        """How many photos to ask for at once."""
        return max(1, min(MOST, int(PATIENCE / max(self._seconds, 1e-3))))

    def ask(self, samples: list[Sample], urgency: int) -> list[Parts]:
        """The parts of a few photos, once it is their turn.

        Raises:
            CancelledError: the explorer is closing.
        """
        answer: Future[list[Parts]] = Future()
        with self._closing:
            if self._closed:
                raise CancelledError
            self._queue.put((urgency, next(self._numbers), (samples, answer)))
        try:
            return answer.result()
        finally:
            if urgency == NOW:
                self._asked = time.monotonic()

    @property
    def quiet(self) -> bool:
        """Whether no person has waited for anything for a moment."""
        return time.monotonic() - self._asked > QUIET

    def close(self) -> None:
        """Whoever waits is told so; the batch under way is finished."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put((-1, next(self._numbers), None))
        self._thread.join(timeout=20)

    def _work(self) -> None:
        while (work := self._queue.get()[2]) is not None:
            samples, answer = work
            start = time.perf_counter()
            try:
                answer.set_result(list(self.model.stream(samples, batch=len(samples))))
            except BaseException as error:
                answer.set_exception(error)
                continue
            took = (time.perf_counter() - start) / max(1, len(samples))
            self._seconds += 0.3 * (took - self._seconds)
        while not self._queue.empty():
            self._queue.get()[2][1].set_exception(CancelledError())
