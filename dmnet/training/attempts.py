"""What each attempt at a run was made by: code, parameters and environment when it began.

All attempts whose iterations are in the weights are kept in the resume state, and end in
`train.json` (`attempts`):

    from, to      iterations before it and after it
    code          as dmnet/checkout.py describes it
    parameters    the run's key, the hash of its whole configuration, how it was executed
    environment   versions and hardware
    acceleration  what of dmnet/training/acceleration.py was on

An attempt from before they were recorded has null for all but its iterations.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from dmnet.config import JobConfig, content_hash
from dmnet.provenance import code_begun, environment

log = logging.getLogger(__name__)

Attempt = dict[str, Any]


def attempt_begun(job: JobConfig, device: torch.device, acceleration: Any) -> Attempt:
    """An attempt from iteration 0 on; `going_on` says otherwise."""
    return {
        "from": 0,
        "to": 0,
        "code": code_begun(),
        "parameters": {
            "key": job.run.key,
            "sha256": content_hash(job),
            "execution": job.execution.model_dump(mode="json"),
        },
        "environment": environment(device),
        "acceleration": acceleration,
    }


def going_on(
    attempts: list[Attempt] | None, attempt: Attempt, iteration: int, run_dir: Path
) -> list[Attempt]:
    """All attempts, of which `attempt` begins at this iteration.

    attempts: the resume state's, None of a state from before they were recorded. Other code than
    began the run is logged, not refused: it may be the mend that lets the run end, and a cluster
    that goes on by itself has nobody to ask. Reports mark it.
    """
    if attempts is None:
        unknown = dict.fromkeys(("code", "parameters", "environment", "acceleration"))
        attempts = [{**unknown, "from": 0, "to": iteration}]
    before = attempts[-1]["code"]
    if before is None or before["sha256"] != attempt["code"]["sha256"]:
        log.warning(
            "going on with other code than before, as its record and reports will say; "
            "to train by one code only, stop, delete %s and run again",
            run_dir / "resume",
        )
    return [*attempts, {**attempt, "from": iteration, "to": iteration}]
