"""What torchrun tells the processes that it starts, each by its environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, MutableMapping

log = logging.getLogger(__name__)

# Of one process among several, as schedulers, mpirun's wrappers and torchrun itself set them.
OF_A_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK")
OF_TORCHRUN = "TORCHELASTIC_RUN_ID"


def under_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process. RANK and WORLD_SIZE alone may be of anybody."""
    numbers = (environment.get(name, "") for name in (*OF_A_LAUNCHER[:3], "MASTER_PORT"))
    return OF_TORCHRUN in environment and all(text.isdecimal() for text in numbers)


def rank_of_this_process(environment: Mapping[str, str] = os.environ) -> int | None:
    """Among those that torchrun started to train together; None of one that is alone."""
    if under_torchrun(environment) and environment["WORLD_SIZE"] != "1":
        return int(environment["RANK"])
    return None


def forget_other_launchers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Forget what a scheduler or mpirun says of processes that are not ours.

    Waiting for peers that never come would take half an hour, in silence; and torchrun takes every
    option that is not given from a variable PET_<OPTION>.
    """
    if under_torchrun(environment):
        return
    others = (*OF_A_LAUNCHER, OF_TORCHRUN)
    foreign = sorted(name for name in environment if name in others or name.startswith("PET_"))
    if foreign:
        log.warning(
            "%s: set, but torchrun did not start this process: not used; execution.processes says "
            "how many train together",
            ", ".join(foreign),
        )
    for name in foreign:
        del environment[name]
