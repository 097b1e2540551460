"""One training run, from `config.json` to verified weights.

runs/<key>/config.json     what is trained (JobConfig)
           history.jsonl   the curve so far
           progress.json   where it is now (while it trains)
           resume/         the last two states (while it trains)
           weights.pt      the final state dict
           finished.json   that vouches for them (dmnet/training/finished.py)
           train.json      the same, for Snakemake, which waits for it; written last
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from dmnet.config import JobConfig
from dmnet.data.manifest import Manifest
from dmnet.devices import in_words, out_of_memory_as, pick_device
from dmnet.files import remove_unfinished, write_json
from dmnet.lock import run_lock
from dmnet.processes import ALONE, Processes
from dmnet.training.finished import finished_run
from dmnet.training.out_of_memory import out_of_memory
from dmnet.training.trainer import Trainer
from dmnet.weights import trained_weights

log = logging.getLogger(__name__)

# What the first process tells the others, which hold no lock.
WAITING, TRAIN, DONE = "waiting", "train", "done"
WRITTEN = ("history.jsonl", "progress.json", "weights.pt", "finished.json", "train.json")


def train(
    job: JobConfig,
    run_dir: Path,
    data_dir: Path,
    weights_dir: Path,
    processes: Processes = ALONE,
    end: float | None = None,
    repeat: str | None = None,
) -> None:
    """Train the run, or go on with it, or, if it is finished and whole, only say so.

    run_dir: `runs/<key>`; data_dir: a prepared dataset; weights_dir: holds ImageNet weights;
    repeat: the command that makes the run again, for the record.
    end: seconds since 1970 by which this attempt must have ended. Of several processes each calls
    this. Raises RunError when the loss diverges or nothing can be written, OutOfTimeError when the
    end comes first, DeviceError for its device, DataError and CheckpointError for what it reads.
    """
    torch.set_num_threads(job.run.cpu_threads)
    device = pick_device(job.execution.device, processes.local_rank)
    log.info("device: %s", in_words(device))
    manifest = Manifest.load(data_dir)
    manifest.require(job.dataset)
    if not processes.first:
        while (todo := processes.from_first(None)) == WAITING:
            pass
        if todo == TRAIN:
            with out_of_memory_as(lambda: out_of_memory(job, run_dir, device)):
                Trainer(job, run_dir, manifest, weights_dir, processes).run()
        return

    lock = run_dir.parent / ".locks" / f"{job.run.key}.lock"
    with run_lock(lock, while_waiting=lambda: processes.from_first(WAITING)):
        remove_unfinished(run_dir, *WRITTEN)
        remove_unfinished(run_dir / "resume", "*")
        finished = finished_run(run_dir, job.run.key, manifest.fingerprint)
        if finished is not None and job.run.parent is not None:
            # Trained again with other data or on another machine, the parent has other weights.
            _, start = trained_weights(run_dir.parent / job.run.parent)
            if finished.get("start_weights") != start:
                log.warning("%s: its parent's weights have changed; training again", run_dir)
                finished = None
        processes.from_first(TRAIN if finished is None else DONE)
        if finished is not None:
            log.info("finished earlier, weights verified: nothing to train")
        else:
            with out_of_memory_as(lambda: out_of_memory(job, run_dir, device)):
                trainer = Trainer(job, run_dir, manifest, weights_dir, processes, end, repeat)
                finished = trainer.run()
        write_json(run_dir / "train.json", finished)
