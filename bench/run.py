"""One case after the other: compare what the two sides compute, then measure them in turn."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from bench.cases import Case
from bench.peer import BenchError, Peer

log = logging.getLogger(__name__)

LEAST_ROUNDS, MOST_ROUNDS = 5, 99


@dataclass(frozen=True)
class Times:
    """One side's rounds: elapsed seconds, the seconds that all its cores worked, and the most
    memory that it occupied (None where the system does not say)."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int | None] = field(default_factory=list)


@dataclass(frozen=True)
class MeasuredCase:
    """Rounds of the two sides, one after the other; `error` is what their outputs differ by."""

    case: Case
    ours: Times
    theirs: Times
    error: float


@dataclass(frozen=True)
class FailedCase:
    """A case that could not be measured; it stops no other."""

    case: Case
    reason: str  # one line


def measure_cases(
    cases: Iterable[Case], ours: Peer, theirs: Peer, seconds: float, device: str
) -> Iterator[MeasuredCase | FailedCase]:
    """Measure each case for about `seconds`, at least `LEAST_ROUNDS` rounds.

    A case fails alone: where a side fails, has too little memory or ends, or where the sides
    disagree by more than the case's limit, as then a comparison of their speeds would say nothing.
    """
    with TemporaryDirectory() as folder:
        for case in cases:
            try:
                yield measure_case(case, ours, theirs, seconds, Path(folder), device)
            except BenchError as error:
                for peer in (ours, theirs):
                    peer.revive()
                yield FailedCase(case, str(error))


def measure_case(
    case: Case, ours: Peer, theirs: Peer, seconds: float, folder: Path, device: str
) -> MeasuredCase:
    """Raises BenchError as `measure_cases` says."""
    for peer in (theirs, ours):  # theirs leaves the weights that ours loads
        peer.ask("start", case=case.to_json(), folder=str(folder))
    error, limit = disagreement(ours, theirs, folder), case.limit(device)
    if not error <= limit:
        raise BenchError(
            f"the two sides differ by {error:.1e}, expected at most {limit:g}; see "
            "tests/dmnet/importers"
        )
    return MeasuredCase(case, *measure(ours, theirs, seconds), error)


def measure(ours: Peer, theirs: Peer, seconds: float) -> tuple[Times, Times]:
    """Rounds of both sides, which take turns in going first. One round before is not measured."""
    times = {ours.name: Times(), theirs.name: Times()}
    order = [ours, theirs]
    for peer in order:
        peer.ask("measure")
    end, rounds = time.monotonic() + seconds, 0
    while rounds < LEAST_ROUNDS or (time.monotonic() < end and rounds < MOST_ROUNDS):
        for peer in order:
            answer = peer.ask("measure")
            times[peer.name].seconds.append(answer["seconds"])
            times[peer.name].cpu_seconds.append(answer["cpu_seconds"])
            times[peer.name].peak_bytes.append(answer["peak_bytes"])
        order.reverse()
        rounds += 1
    return times[ours.name], times[theirs.name]


def disagreement(ours: Peer, theirs: Peer, folder: Path) -> float:
    """The largest of the differences between what the two sides give."""
    outputs: list[dict[str, Tensor]] = []
    for peer in (ours, theirs):
        file = folder / f"{peer.name}.pt"
        peer.ask("outputs", file=str(file))
        outputs.append(torch.load(file, weights_only=True))
    our, their = outputs
    if set(our) != set(their):
        raise BenchError(f"outputs {sorted(our)} and {sorted(their)} cannot be compared")
    return max(difference(our[key], their[key]) for key in our)


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference as a part of the reference's range (a scalar: of its size).

    Infinite where shapes differ or a value is not finite.
    """
    if ours.shape != theirs.shape or not (ours.isfinite().all() and theirs.isfinite().all()):
        return float("inf")
    ours, theirs = ours.double(), theirs.double()
    span = theirs.max() - theirs.min() if theirs.numel() > 1 else theirs.abs()
    error = (ours - theirs).abs().max()
    return float(error / span) if span > 0 else float(error > 0) * float("inf")
