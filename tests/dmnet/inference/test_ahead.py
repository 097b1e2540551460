"""Reading runs ahead, in order, by a bounded number, and tells its errors where they belong."""

from __future__ import annotations

import threading
import time

import pytest

from dmnet.inference.ahead import AHEAD, read_ahead


def test_samples_come_in_order_and_reading_is_bounded() -> None:
    begun: list[int] = []

    def read(index: int) -> int:
        begun.append(index)
        return index * index

    found = []
    for sample in read_ahead(read, range(20)):
        time.sleep(0.002)
        found.append(sample)
        assert len(begun) <= len(found) + AHEAD
    assert found == [index * index for index in range(20)]


def test_the_next_sample_is_read_while_this_one_is_used() -> None:
    next_was_read = threading.Event()

    def read(index: int) -> int:
        if index == 1:
            next_was_read.set()
        return index

    samples = read_ahead(read, range(2))
    assert next(samples) == 0
    assert next_was_read.wait(10)
    samples.close()


def test_an_error_comes_where_its_sample_would_have() -> None:
    def read(index: int) -> int:
        if index == 2:
            raise ValueError("damaged")
        return index

    samples = read_ahead(read, range(5))
    assert [next(samples), next(samples)] == [0, 1]
    with pytest.raises(ValueError, match="damaged"):
        next(samples)


def test_who_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    samples = read_ahead(lambda index: index, range(100))
    next(samples)
    samples.close()
    assert threading.active_count() == before
