"""The cost before anything runs: cells, the runs they share, iterations, hours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from pipeline import paths
from pipeline.cluster.card_plan import find_card, gpu_gib, preset_share, render_card
from pipeline.cluster.estimates import Estimates
from pipeline.cluster.limits import render_cluster_plan
from pipeline.cluster.profile import SiteProfile, partitions
from pipeline.experiments import Experiment
from pipeline.spec.cards import Cards
from pipeline.spec.costs import CostsFile

if TYPE_CHECKING:
    from dmnet.flops import ModelCost


def render_plan(
    experiment: Experiment,
    costs: CostsFile,
    root: Path = Path("."),
    profiles: list[Path] | None = None,
    card_name: str | None = None,
) -> str:
    """One line per run and the totals, for people.

    profiles: Snakemake's, of a cluster; what would be asked of it follows. card_name: the GPU.
    """
    from dmnet.flops import training_cost  # torch is imported here, never while parsing

    on_gpu, cards = experiment.preset.gpus > 0, Cards(costs)
    profile = SiteProfile.read(profiles) if profiles else None
    queues = partitions() if profile else None
    known = find_card(cards, card_name, profile, queues) if on_gpu else None
    device = known.card.spec if known else costs.cpu
    title = f"one {device.title}" if known else device.title
    unit, per_unit = ("GPU-hours", 3600.0) if on_gpu else ("CPU-minutes", 60.0)
    rows, total, iterations = [], 0.0, 0
    left: dict[str, float] = {}  # run key -> seconds
    counted: dict[str, ModelCost] = {}
    for run in experiment.runs.values():
        config, recipe = run.job.run, run.job.run.recipe
        cost = training_cost(config.model, config.data.classes, *recipe.crop_size)
        seconds = costs.training_seconds(device, recipe, cost.flops)
        done = (root / paths.trained(run.key)).exists()
        iterations += recipe.iterations
        total += seconds
        if not done:
            left[run.key], counted[run.key] = seconds, cost
        memory = [f"{gpu_gib(run, cost, preset_share(experiment)):.0f}"] if on_gpu else []
        rows.append(
            [
                run.key,
                config.seed,
                config.model.head.name,
                recipe.iterations,
                f"{seconds / per_unit:.1f}",
                *memory,
                "yes" if done else "",
                ", ".join(run.cells),
            ]
        )
    speeds = experiment.speeds
    timed = f"of which {sum((root / speed.path).exists() for speed in speeds)} done"
    memory = ["GPU GiB"] if on_gpu else []
    headers = ["run", "seed", "head", "iterations", unit, *memory, "done", "cells"]
    lines = [
        f"Preset {experiment.preset_name}: {experiment.preset.title}",
        f"Tables: {', '.join(experiment.tables)}; seeds: {experiment.seeds}; "
        f"datasets: {', '.join(experiment.datasets)}",
        "",
        tabulate(rows, headers, tablefmt="simple", disable_numparse=True),
        "",
        f"{len(experiment.cells)} cells, {len(experiment.runs)} training runs, "
        f"{len(experiment.evaluations)} evaluations, {iterations:,} iterations",
        *([f"{len(experiment.releases)} released checkpoints"] if experiment.releases else []),
        *([f"{len(speeds)} measurements of speed and memory, {timed}"] if speeds else []),
        f"Estimated training: {total / per_unit:,.1f} {unit}, of which still to do "
        f"{sum(left.values()) / per_unit:,.1f} (on {title}; speeds in params/costs.yaml, "
        "evaluation not counted)",
    ]
    if known is not None:
        lines += render_card(experiment, counted, known, sum(left.values()), profile is None)
    if profile:
        text = render_cluster_plan(
            experiment,
            profile,
            Estimates.read(costs, on_gpu),
            queues,
            cards,
            seconds=left,
            costs=counted,
            root=root,
        )
        lines += ["", text]
    return "\n".join(lines)
