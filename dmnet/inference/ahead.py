"""The next images are read and decoded while the network works on this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2  # decoded images that wait at most

Sample = TypeVar("Sample")


def read_ahead(read: Callable[[int], Sample], indices: Iterable[int]) -> Iterator[Sample]:
    """`read(index)` for every index, in order; a thread is at most `AHEAD` of them in front.

    What `read` raises is raised where its sample would have come.
    """
    waiting: deque[Future[Sample]] = deque()
    pool = ThreadPoolExecutor(1, "reader")
    try:
        for index in indices:
            waiting.append(pool.submit(read, index))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
