"""Python's garbage collector, kept from looking for garbage where there is none.

Modules and configurations are made once and stay. While they are made the collector looks through
them again and again, and once more when the process ends: a fifth of the processor time of
`import torch` and its end, an eighth of a plan's. Nothing that is computed depends on it.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 20_000  # new ones between two looks; Python's own 700 is for a small program


@contextmanager
def uncollected() -> Iterator[None]:
    """For imports: nothing is searched meanwhile, and what is there at the end never is.

    Afterwards the collector works as before: in a training, garbage may hold large tensors.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_rarely() -> None:
    """For a command that builds something, writes it and ends."""
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
