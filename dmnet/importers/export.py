"""A finished run's weights as a checkpoint file that a zoo's own tools load."""

from __future__ import annotations

from pathlib import Path

import torch

from dmnet.config import JobConfig, parse
from dmnet.errors import ConfigError
from dmnet.files import atomic_write, read_json
from dmnet.importers import ZOOS
from dmnet.weights import load_trained, trained_weights


def export_run(run_dir: Path, zoo_name: str, output: Path) -> int:
    """Write the weights of `runs/<key>` to `output` in the zoo's layout; the number of tensors.

    Raises ConfigError for an unknown zoo, RunError when the run is not finished, CheckpointError
    when its weights are damaged or the zoo has no such model. `output` is whole or not there.
    """
    if zoo_name not in ZOOS:
        raise ConfigError(f"--zoo {zoo_name}: unknown; expected one of {', '.join(ZOOS)}")
    zoo = ZOOS[zoo_name]
    config = run_dir / "config.json"
    job = parse(JobConfig, read_json(config), str(config))
    weights, digest = trained_weights(run_dir)
    model = load_trained(job.run, weights, digest)
    state = zoo.to_theirs(model.state_dict(), model)
    content = zoo.wrap(state, job.dataset.classes, job.run.recipe.iterations)
    with atomic_write(output) as stream:
        torch.save(content, stream)
    return len(state)
