"""What a training says that found no memory: what it needs, and what lets it need less."""

from __future__ import annotations

from pathlib import Path

import torch

from dmnet.config import JobConfig
from dmnet.devices import device_memory
from dmnet.footprint import GIB, training_footprint
from dmnet.training.share import Share, unchanged_divisions


def out_of_memory(job: JobConfig, run_dir: Path, device: torch.device) -> str:
    """One line. Proposed are divisions of the batch that leave the results as they are."""
    run, execution = job.run, job.execution
    now = Share(0, execution.processes, execution.accumulate)

    def needed(share: Share) -> float:
        images = run.recipe.batch_size // share.pieces
        return training_footprint(run.model, run.data.classes, run.recipe, images).total / GIB

    memory = device_memory(device)
    has, name = (None, "machine") if memory is None else (memory / GIB, "GPU")
    images, (height, width) = run.recipe.batch_size // now.pieces, run.recipe.crop_size
    text = (
        f"{run_dir}: out of memory: {images} crop(s) of {height}x{width} at once take about "
        f"{needed(now):.1f} GiB" + ("" if has is None else f", the {name} has {has:.1f}")
    )
    shares = unchanged_divisions(run.recipe, now)
    if has is None:  # processes would share the machine's memory
        shares = [share for share in shares if share.processes == now.processes]
    share = next((each for each in shares if has is None or needed(each) <= has), None)
    if share is None:
        return (
            f"{text}; no division of the batch changes that and leaves the results as they are: "
            f"run less beside it, or take a {name} with more memory"
        )
    gpus = f", on {share.processes} GPUs," if share.processes > 1 else ""
    return (
        f"{text}; {share.in_words} in the preset{gpus} takes {needed(share):.1f} and leaves the "
        "results as they are"
    )
