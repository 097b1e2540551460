"""Record tests/golden/lr_schedules_0x.pt: learning rates of mmsegmentation 0.x, set by mmcv 1.x.

    <reference python> -m pip install --no-deps --no-build-isolation --target DIR mmcv==1.7.2
    PYTHONPATH=DIR:tests/reference/site <reference python> tests/reference/record_schedules.py

The published checkpoints were trained with it. Its hook is called before every iteration of a
pretended runner, as its real one calls it.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmcv.runner.hooks.lr_updater import PolyLrUpdaterHook

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
CASES: dict[str, dict[str, Any]] = {
    "poly": {"lr": 0.01, "iterations": 40},
    "poly_with_linear_warmup": {"lr": 0.05, "iterations": 60, "warmup_iterations": 10},
}


def rates(case: dict[str, Any]) -> torch.Tensor:
    """Of all iterations, float64."""
    warmup = case.get("warmup_iterations")
    linear = {} if warmup is None else {"warmup": "linear", "warmup_iters": warmup}
    hook = PolyLrUpdaterHook(power=0.9, min_lr=1e-4, by_epoch=False, **linear)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=case["lr"])
    runner = SimpleNamespace(
        optimizer=optimizer, iter=0, epoch=0, max_iters=case["iterations"], data_loader=[]
    )
    hook.before_run(runner)
    hook.before_train_epoch(runner)
    found = []
    for runner.iter in range(case["iterations"]):
        hook.before_train_iter(runner)
        found.append(optimizer.param_groups[0]["lr"])
    return torch.tensor(found, dtype=torch.float64)


if __name__ == "__main__":
    recorded = {name: {**case, "lr_at_iter": rates(case)} for name, case in CASES.items()}
    torch.save(recorded, GOLDEN / "lr_schedules_0x.pt")
