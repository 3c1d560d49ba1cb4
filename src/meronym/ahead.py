"""Work done ahead in threads, in order: photos are read while the network sees others, results written behind it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    do: Callable[[Item], Result], items: Iterable[Item], workers: int, depth: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Every item with the future of what `do` makes of it, in order, at most `depth` of them in flight."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="ahead") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(do, item)))
                if len(waiting) >= depth:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()
