"""What an experiment would ask of a cluster: jobs, hours, disk, and the limits that it would break.

It only warns: a partition's limit may be waived, a disk may be emptied in time.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from pipeline import paths
from pipeline.cluster.card_plan import card_warnings
from pipeline.cluster.estimates import Estimates
from pipeline.cluster.profile import Partition, SiteProfile
from pipeline.escaping import few
from pipeline.experiments import Experiment
from pipeline.spec.cards import Cards

if TYPE_CHECKING:
    from dmnet.flops import ModelCost

FLOAT = 4  # bytes
STATES = 3  # resume states that lie on the disk while a new one is written
COPIES = 2  # of weights: in runs/ and in DVC's cache
SHOWN = 5  # names in a warning


@dataclass
class RuleJobs:
    """The jobs of one rule that are still to be submitted; minutes as the first attempt asks."""

    rule: str
    gpus: int = 0
    threads: int = 1
    minutes: list[int | None] = field(default_factory=list)
    done: int = 0

    def add(self, path: Path, minutes: int | None) -> None:
        if path.exists():
            self.done += 1
        else:
            self.minutes.append(minutes)

    @property
    def known(self) -> list[int]:
        return [minutes for minutes in self.minutes if minutes is not None]


def submitted_jobs(
    experiment: Experiment, profile: SiteProfile, estimates: Estimates, root: Path
) -> list[RuleJobs]:
    """What the rules hand to the cluster; configurations, tables and pages need no job."""
    preset = experiment.preset
    gpus, threads = preset.gpus, preset.cpu_threads
    prepare = RuleJobs("prepare")
    train = RuleJobs("train", preset.training_gpus, preset.training_threads)
    evaluate = RuleJobs("evaluate", gpus, threads)
    released = RuleJobs("evaluate_release", gpus, threads)
    profiles, speeds = RuleJobs("profile"), RuleJobs("speed", gpus, threads)
    for name in experiment.datasets:
        prepare.add(root / paths.data_manifest(name), profile.minutes("prepare", None))
    for run in experiment.runs.values():
        own = estimates.training_minutes(run.job.run, 1)
        train.add(root / paths.trained(run.key), profile.minutes("train", own))
    for evaluation in experiment.evaluations.values():
        if evaluation.folder == paths.RELEASED:
            jobs, own = released, estimates.released_minutes(1)
        else:
            jobs = evaluate
            of_run = experiment.runs[evaluation.run_key].job.run
            own = estimates.evaluation_minutes(of_run, 1)
        jobs.add(root / evaluation.path, profile.minutes(jobs.rule, own))
    for count in experiment.counts:
        profiles.add(root / count.path, profile.minutes("profile", None))
    for speed in experiment.speeds:
        speeds.add(root / speed.path, profile.minutes("speed", None))
    every = (prepare, train, evaluate, released, profiles, speeds)
    return [jobs for jobs in every if jobs.minutes or jobs.done]


def time_warnings(
    jobs: list[RuleJobs], profile: SiteProfile, partitions: dict[str, Partition] | None
) -> list[str]:
    """Requests that a partition would refuse, or let wait for ever."""
    warnings = []
    for one in jobs:
        name = profile.partition(one.rule, partitions)
        if partitions is None or name is None or not one.minutes:
            continue
        partition = partitions.get(str(name))
        if partition is None:
            expected = ", ".join(partitions)
            warnings.append(
                f"{one.rule}: partition {name!r} is not on this cluster (it has {expected}); "
                f"set `{one.rule}: {{slurm_partition: ...}}` under set-resources"
            )
            continue
        if one.gpus and not partition.gpus:
            warnings.append(
                f"{one.rule}: asks for {one.gpus} GPU(s), but partition {name} has none; set "
                f"`{one.rule}: {{slurm_partition: ...}}` under set-resources"
            )
        limit = partition.minutes
        longer = [minutes for minutes in one.known if limit is not None and minutes > limit]
        if longer:
            warnings.append(
                f"{one.rule}: {len(longer)} job(s) ask for up to {max(longer)} minutes, partition "
                f"{name} allows {limit}; set `{one.rule}: {{runtime: {limit}}}` under set-resources"
                + (", a training goes on in the next allocation" if one.rule == "train" else "")
            )
    return warnings


def allocation_warnings(
    experiment: Experiment, profile: SiteProfile, estimates: Estimates, seconds: dict[str, float]
) -> list[str]:
    """Trainings that do not end within the time that they ask for. seconds: run key -> estimate."""
    several = []
    for key, needed in seconds.items():
        run = experiment.runs[key]
        asked = profile.minutes("train", estimates.training_minutes(run.job.run, 1))
        if asked and needed > 60 * asked:
            several.append((math.ceil(needed / (60 * asked)), run.label))
    if not several:
        return []
    most = max(several)[0]
    names = few([label for _, label in several], SHOWN)
    text = f"train: {len(several)} run(s) need up to {most} allocations ({names})"
    if profile.requeues:
        return [f"{text}; each saves in time and is queued again by itself"]
    if most > profile.retries + 1:
        return [f"{text}, but retries: {profile.retries} ends them before; set slurm-requeue: true"]
    return [f"{text}; each goes on in its next attempt"]


@dataclass(frozen=True)
class Disk:
    """Bytes: what finished runs will take, and what trainings take in addition while they run."""

    kept: int
    at_once: int
    free: int

    @property
    def warnings(self) -> list[str]:
        most = self.kept + self.at_once
        text = f"disk: up to {gigabytes(most)} needed in runs/ and .dvc/cache, "
        text += f"{gigabytes(self.free)} free; make room, or lower `jobs`"
        return [text] if most > self.free else []


def disk_needed(costs: dict[str, ModelCost], jobs: int, root: Path) -> Disk:
    """costs: of the runs that are still to be trained."""
    weights = [FLOAT * cost.values for cost in costs.values()]
    # A state holds the weights and the optimizer's momentum.
    states = sorted(FLOAT * (cost.values + cost.parameters) for cost in costs.values())
    at_once = STATES * sum(states[-jobs:])
    return Disk(COPIES * sum(weights), at_once, shutil.disk_usage(root).free)


def gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def render_cluster_plan(
    experiment: Experiment,
    profile: SiteProfile,
    estimates: Estimates,
    partitions: dict[str, Partition] | None,
    cards: Cards,
    *,
    seconds: dict[str, float],
    costs: dict[str, ModelCost],
    root: Path = Path("."),
) -> str:
    """For people. seconds, costs: run key -> estimate, of the runs that are still to be trained."""
    jobs = submitted_jobs(experiment, profile, estimates, root)
    unit = "GPU-hours" if experiment.preset.gpus else "core-hours"
    device = [one for one in jobs if bool(one.gpus) == bool(experiment.preset.gpus)]
    # Of GPUs, or of cores where no GPU is asked for.
    asked_hours = sum(sum(one.known) / 60 * (one.gpus or one.threads) for one in device)
    rows = []
    for one in jobs:
        asked = f"{min(one.known)} to {max(one.known)}" if one.known else ""
        partition = profile.resource(one.rule, "slurm_partition") or "(default)"
        rows.append([one.rule, len(one.minutes), one.done, one.gpus or "", asked, partition])
    headers = ["rule", "jobs", "done", "GPUs", "minutes asked", "partition"]
    training = sum(seconds.values()) / 3600 * max(1, experiment.preset.execution.processes)
    disk = disk_needed(costs, profile.jobs, root)
    warnings = [
        *card_warnings([one.rule for one in jobs if one.gpus], profile, partitions, cards),
        *time_warnings(jobs, profile, partitions),
        *allocation_warnings(experiment, profile, estimates, seconds),
        *disk.warnings,
    ]
    unknown = "" if partitions else " (no sinfo here: partitions and their limits are not checked)"
    return "\n".join(
        [
            f"On the cluster: {sum(len(one.minutes) for one in jobs):,} jobs, at most "
            f"{profile.jobs} in the queue at once",
            "",
            tabulate(rows, headers, tablefmt="simple", disable_numparse=True),
            "",
            f"Estimated training: {training:,.1f} {unit}; asked of the queue, first attempts: "
            f"{asked_hours:,.1f} {unit}",
            f"Disk: {gigabytes(disk.kept)} for weights here and in DVC's cache, up to "
            f"{gigabytes(disk.at_once)} more while they train; {gigabytes(disk.free)} free "
            "(datasets, predictions and logs not counted)",
            *(f"warning: {warning}" for warning in warnings),
            *([] if warnings else [f"No limit would be broken{unknown}"]),
            *([unknown.strip(" ()")] if warnings and unknown else []),
        ]
    )
