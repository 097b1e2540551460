"""The losses since the last row of the history, added up where they are computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dmnet.losses import Losses
from dmnet.processes import Processes


class LossMeans:
    """Of this process's share of the batches; a process asks for numbers only in `of_all`.

    Asking a GPU for a number waits for all that was queued, so `add` does not.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.iterations = 0
        self.own: dict[str, Tensor | float] = {}
        self._not_finite: Tensor | float = 0.0  # iterations since which the total is not

    def add(self, losses: Losses) -> None:
        parts = {"total": losses.total, "main": losses.main, "auxiliary": losses.auxiliary}
        for name, loss in parts.items():
            if loss is not None:
                self.own[name] = self.own.get(name, 0.0) + loss.detach().double()
        # A sum that is not finite stays so: no value is needed to know since when.
        self._not_finite = self._not_finite + ~torch.isfinite(torch.as_tensor(self.own["total"]))
        self.iterations += 1

    def not_finite(self) -> int:
        """How many of the latest iterations have passed since the loss became NaN or infinite, in
        any process; every process calls this together."""
        counts = [0.0] * self.processes.count
        counts[self.processes.rank] = float(self._not_finite)
        return int(max(self.processes.sum(counts)))

    def take(self) -> dict[str, float]:
        """The losses of whole batches, each a mean over the iterations; then begins anew.

        Every process calls this, and `state`, together.
        """
        shares = self.of_all()
        means = {n: sum(share[n] for share in shares) / self.iterations for n in shares[0]}
        self.own, self.iterations = {}, 0
        return means

    def of_all(self) -> list[dict[str, float]]:
        """Every process's, in their order."""
        rank, count, names = self.processes.rank, self.processes.count, list(self.own)
        flat = [0.0] * (len(names) * count)
        flat[rank * len(names) : (rank + 1) * len(names)] = map(float, self.own.values())
        values = iter(self.processes.sum(flat))
        return [{name: next(values) for name in names} for _ in range(count)]

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"iterations": self.iterations, "shares": self.of_all()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; with another number of processes the first takes all shares.

        A state without shares is of one process.
        """
        totals = {name: value for name, value in state.items() if name != "iterations"}
        shares: list[dict[str, float]] = state.get("shares", [totals])
        self.iterations = state.get("iterations", 0)
        if len(shares) == self.processes.count:
            self.own = dict(shares[self.processes.rank])
        elif self.processes.first:
            self.own = {name: sum(share[name] for share in shares) for name in shares[0]}
        else:
            self.own = dict.fromkeys(shares[0], 0.0)
