"""What a study would ask of a cluster, and the warnings: nothing is refused."""

from __future__ import annotations

import pytest

from dmnet.flops import ModelCost
from pipeline.cluster.estimates import Estimates
from pipeline.cluster.limits import Disk, disk_needed, render_cluster_plan
from pipeline.cluster.profile import Partition, SiteProfile, read_partitions, time_limit
from pipeline.errors import SpecError
from pipeline.experiments import PARAMS, build_experiment
from pipeline.spec.cards import Cards
from pipeline.spec.params import Params

SINFO = """\
cpu*|2:00:00|(null)
gpu|1-12:00:00|gpu:v100:4
gpu|1-12:00:00|(null)
long|infinite|(null)
"""


def cluster(**minutes):
    return {n: Partition(n, m, gpus=n == "gpu", default=n == "cpu") for n, m in minutes.items()}


def plan(partitions, seconds=None, tmp_path=None, **content):
    costs = Params(PARAMS).costs()
    experiment = build_experiment("paper", tables=["table5"])
    estimates = Estimates.read(costs, on_gpu=True)
    keys = list(experiment.runs)
    return render_cluster_plan(
        experiment,
        SiteProfile(content),
        estimates,
        partitions,
        Cards(costs),
        seconds=dict.fromkeys(keys, 3600.0 if seconds is None else seconds),
        costs=dict.fromkeys(keys, ModelCost(1, 50_000_000, 50_000_000)),
        root=tmp_path,
    )


def test_partitions_as_sinfo_tells_them():
    found = read_partitions(SINFO)
    assert found["cpu"] == Partition("cpu", 120, gpus=False, default=True)
    assert found["gpu"] == Partition("gpu", 36 * 60, True, False, frozenset(["v100"]))
    several = read_partitions("gpu|1:00|gpu:a100:4(S:0-1),gpu:tesla_v100:2\ngpu|1:00|gpu:4\n")
    assert several["gpu"].models == {"a100", "tesla_v100"}
    assert found["long"].minutes is None


@pytest.mark.parametrize(
    ("text", "minutes"), [("30:00", 30), ("1-00:00:00", 1440), ("2h", 120), ("infinite", None)]
)
def test_time_limits(text, minutes):
    assert time_limit(text) == minutes


def test_a_later_profile_replaces_whole_keys_of_an_earlier_one(tmp_path):
    (tmp_path / "config.yaml").write_text("set-resources: {train: {runtime: 480}}\nretries: 9\n")
    profile = SiteProfile.read([PARAMS.parent / "profiles" / "slurm", tmp_path])
    assert profile.minutes("train", own=1440) == 480
    assert profile.minutes("evaluate", own=70) == 70
    assert profile.minutes("prepare", own=None, attempt=2) == 120, "attempt * 60, of the first one"
    assert (profile.retries, profile.jobs, profile.requeues) == (9, 100, True)


def test_a_folder_without_a_profile_is_named(tmp_path):
    with pytest.raises(SpecError, match=f"--profile {tmp_path}: no config"):
        SiteProfile.read([tmp_path])


def test_jobs_hours_and_disk_of_a_table(tmp_path):
    text = plan(cluster(gpu=None), tmp_path=tmp_path, jobs=2, **on("gpu"))
    assert "On the cluster: 9 jobs, at most 2 in the queue" in text  # 1 dataset, 4 runs, 4 results
    assert "Estimated training: 4.0 GPU-hours" in text
    # Twice 4 x 200 MB of weights; two trainings at once with three states of 400 MB each.
    assert "Disk: 1.6 GB for weights here and in DVC's cache, up to 2.4 GB more" in text
    assert "No limit would be broken" in text and "warning" not in text


def on(partition, **resources):
    rules = ("train", "evaluate")
    return {
        "default-resources": {"slurm_partition": partition, "runtime": 10},
        "set-resources": {rule: resources for rule in rules},
        "slurm-requeue": True,
    }


def test_a_time_limit_that_would_be_broken_is_told_with_what_to_set(tmp_path):
    text = plan(cluster(gpu=480), tmp_path=tmp_path, **on("gpu"))
    assert "warning: train: 4 job(s) ask for up to 1440 minutes, partition gpu allows 480" in text
    assert "set `train: {runtime: 480}` under set-resources, a training goes on in the next" in text
    fitting = plan(cluster(gpu=480), tmp_path=tmp_path, **on("gpu", runtime=480))
    assert "warning" not in fitting


def test_a_gpu_that_pytorch_has_no_code_for_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.spec.cards.installed_cuda", lambda: "13.0")
    known = {"gpu": Partition("gpu", None, True, True, frozenset(["a100", "tesla_v100"]))}
    text = plan(known, tmp_path=tmp_path, **on("gpu"))
    assert "warning: train, evaluate: V100 has compute capability 7.0" in text
    assert "warning" not in plan(known, tmp_path=tmp_path, **on("gpu", gpu_model="a100"))
    told = plan(known, tmp_path=tmp_path, **on("gpu", gpu_model="nvidia_v100"))
    assert "install requirements-cu126.lock" in told
    monkeypatch.setattr("pipeline.spec.cards.installed_cuda", lambda: "12.6")
    assert "warning" not in plan(known, tmp_path=tmp_path, **on("gpu"))


def test_unknown_partitions_and_partitions_without_gpus_are_told(tmp_path):
    assert "partition 'gpus' is not on this cluster (it has cpu, gpu)" in plan(
        cluster(cpu=None, gpu=None), tmp_path=tmp_path, **on("gpus")
    )
    text = plan(cluster(cpu=None, gpu=None), tmp_path=tmp_path)
    assert "train: asks for 1 GPU(s), but partition cpu has none" in text


def test_trainings_that_need_several_allocations_are_told(tmp_path):
    known, week = cluster(gpu=None), 7 * 86400.0
    of_profile = on("gpu", runtime=1440)
    text = plan(known, week, tmp_path, **of_profile)
    assert "train: 4 run(s) need up to 7 allocations (table5/fcn-r50" in text
    assert "queued again by itself" in text
    text = plan(known, week, tmp_path, **of_profile | {"slurm-requeue": False, "retries": 3})
    assert "retries: 3 ends them before; set slurm-requeue: true" in text


def test_a_disk_that_is_too_small_is_told():
    assert "up to 3.0 GB needed in runs/" in Disk(10**9, 2 * 10**9, 10**9).warnings[0]
    assert Disk(10**9, 10**9, 3 * 10**9).warnings == []


def test_states_of_the_largest_runs_count_as_many_as_train_at_once(tmp_path):
    costs = {"small": ModelCost(1, 10, 10), "large": ModelCost(1, 1000, 1000)}
    assert disk_needed(costs, 1, tmp_path).at_once == 3 * 4 * 2000


def test_elsewhere_the_limits_are_not_checked_and_the_plan_says_so(tmp_path):
    text = plan(None, tmp_path=tmp_path)
    assert "No limit would be broken (no sinfo here: partitions and their limits" in text
