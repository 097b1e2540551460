"""On a real SLURM cluster of this one machine: disturbed in every way, the same weights.

`make test-slurm` runs these. They need root and Debian's SLURM (tests/slurm/README.md); whatever is
missing is a failure. The profile is the one that users take, with a second one for the site.

Most of a story is waiting (for the queue, for Snakemake's next look, for SLURM to requeue), so
stories are told side by side, each in its own clone and on two nodes of its own; those that touch
the whole cluster come after them, one by one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import torch

from bench.study import write_study

pytestmark = pytest.mark.slurm

HERE = Path(__file__).resolve().parent
ITERATIONS = 160  # of preset `long`
SIDE_BY_SIDE = 4  # stories at once


def _load(name):
    path = HERE.parent / "slurm" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"slurm_{name}", path)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


slurm, Login = _load("cluster"), _load("login").Login
wait_until = slurm.wait_until


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # pytest's own paths are too long for sockets
    cluster = slurm.Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


# name -> (what it begins with, what it is compared with, its function), in the order of telling
STORIES, ALONE = {}, set()


def story(begins_with="undisturbed", compared_with="undisturbed", alone=False):
    """Clones of conftest.py. `undisturbed` is begun with as it was before its training."""

    def register(function):
        STORIES[function.__name__] = (begins_with, compared_with, function)
        if alone:
            ALONE.add(function.__name__)
        return function

    return register


@pytest.fixture(scope="module")
def told(request, cluster, tmp_path_factory):
    """name -> the future of the story; only those that were asked for."""
    asked = [item.callspec.params["name"] for item in request.session.items if _is_story(item)]
    needed = {clone for name in asked for clone in STORIES[name][:2]}
    clones = {name: request.getfixturevalue(name) for name in sorted(needed)}
    pairs = queue.SimpleQueue()
    for first in range(0, 2 * SIDE_BY_SIDE, 2):
        pairs.put(slurm.NODES[first : first + 2])

    def tell(name):
        begins_with, compared_with, function = STORIES[name]
        clone = clones[begins_with].copy(tmp_path_factory.mktemp(name[:30]) / "clone")
        if begins_with == "undisturbed":
            clone.forget_runs()
            clone.record = False  # of the others
        nodes = pairs.get()
        login, began = Login(clone, cluster, nodes), time.monotonic()
        try:
            function(login, clones[compared_with])
        finally:
            login.end()
            for node in nodes:
                cluster.start_slurmd(node)
            pairs.put(nodes)
            print(f"{name}: {time.monotonic() - began:.0f} s")

    with ThreadPoolExecutor(SIDE_BY_SIDE) as together, ThreadPoolExecutor(1) as one_by_one:
        futures = {name: together.submit(tell, name) for name in asked if name not in ALONE}
        before = list(futures.values())

        def tell_alone(name):
            wait(before)
            tell(name)

        futures |= {name: one_by_one.submit(tell_alone, name) for name in asked if name in ALONE}
        yield futures
        for future in futures.values():
            future.cancel()


def _is_story(item):
    return item.originalname == "test_story" and item.path == Path(__file__)


def assert_as_undisturbed(login, undisturbed, resumed=1):
    """The weights, the curve and the table of a run left alone; gone on with so many times."""
    clone = login.clone
    assert clone.weights() == undisturbed.weights()
    (key,) = clone.weights()
    for name in (f"runs/{key}/history.jsonl", "reports/one.md", "reports/one.json"):
        assert clone.read(name) == undisturbed.read(name), name
    rows = [json.loads(line) for line in clone.read(f"runs/{key}/history.jsonl").splitlines()]
    assert set(Counter(row["iteration"] for row in rows if "loss" in row).values()) == {1}
    going_on = re.findall(r"going on from iteration (\d+) of 160", login.training_log())
    assert len(going_on) == resumed, login.training_log()
    assert all(0 < int(iteration) < ITERATIONS for iteration in going_on)
    assert clone.leftovers() == []


def finish(login, snakemake, seconds=500):
    assert snakemake.wait(timeout=seconds) == 0, login.clone.output()


@story()
def ended_by_its_time_limit_it_is_submitted_again_and_goes_on(login, undisturbed):
    snakemake = login.start()
    progress = login.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that it cannot be ready before its time is over
    (job,) = login.training_jobs()
    login.cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    finish(login, snakemake)
    assert login.accounting(job, "state") == ["TIMEOUT"]
    assert_as_undisturbed(login, undisturbed)


@story()
def it_saves_before_its_allocation_ends_and_is_queued_again_by_itself(login, undisturbed):
    """Two minutes' allocation, half a minute of which is kept for ending."""
    snakemake = login.start(options=("--set-resources", "train:runtime=2"))
    progress = login.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # as a slower machine would be
    (job,) = login.training_jobs()
    ends = login.cluster.call("squeue", "-h", "-j", job, "-o", "%L").strip()  # M:SS
    minutes, seconds = map(int, ends.split(":"))
    time.sleep(max(0, 60 * minutes + seconds - 29))
    os.kill(progress["pid"], signal.SIGCONT)
    finish(login, snakemake)
    assert f"SLURM job {job} is queued again and goes on" in login.slurm_log(job)
    assert login.training_jobs() == [job], "it queued itself, Snakemake did not submit it again"
    first, *_, last = login.accounting(job, "state")
    assert (first, last) == ("REQUEUED", "COMPLETED")
    assert_as_undisturbed(login, undisturbed)


@story()
def preempted_in_mid_training_it_is_queued_again_and_goes_on(login, undisturbed):
    snakemake = login.start()
    login.wait_for_states()
    (job,) = login.training_jobs()
    urgent = ("sbatch", "-p", "urgent", "-A", "dmnet", "--exclusive", "--mem=100")
    at = ("-w", login.node_of(job), "-o", "/dev/null", "--wrap", "sleep 1")
    login.cluster.call(*urgent, *at)
    wait_until("the preemption", lambda: "PREEMPTED" in login.accounting(job, "state"))
    finish(login, snakemake)
    assert login.training_jobs() == [job], "SLURM requeued it, Snakemake did not submit again"
    assert_as_undisturbed(login, undisturbed)


@story()
def a_lost_node_gives_its_training_to_another(login, undisturbed):
    """The node is silent and its training hangs; SLURM queues the job again elsewhere."""
    snakemake = login.start()
    progress = login.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that it cannot be ready before it is killed
    (job,) = login.training_jobs()
    login.cluster.kill(f"slurmd-{login.node_of(job)}")
    for pid in [progress["pid"], *login.cluster.steps(job)]:
        os.kill(pid, signal.SIGKILL)
    finish(login, snakemake)
    # Snakemake's own process on the lost node lives on. It looks for the training's output for a
    # while and then clears it away; if that was there by then, one more job finds the run finished.
    again = "finished earlier, weights verified: nothing to train" in login.training_log()
    (log,) = login.clone.path.glob(f"logs/slurm/rule_train/*/{job}.log")
    assert "going on from iteration" in log.read_text()
    assert_as_undisturbed(login, undisturbed, resumed=0 if again else 1)


@story()
def a_killed_job_step_leaves_its_training_to_end_and_is_queued_again(login, undisturbed):
    """SLURM takes the node for failed; the requeued job finds what the orphan has finished."""
    snakemake = login.start()
    login.wait_for_states()
    (job,) = login.training_jobs()
    for pid in login.cluster.steps(job):
        os.kill(pid, signal.SIGKILL)
    finish(login, snakemake)
    assert login.training_jobs() == [job]
    assert_as_undisturbed(login, undisturbed, resumed=0)


@story()
def snakemake_killed_and_called_again_waits_for_its_orphan(login, undisturbed):
    """The job of the killed Snakemake trains on; the job of the second one finds it finished."""
    first = login.start()
    progress = login.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that both surely meet
    first.kill()
    first.wait()
    second = login.start()
    waiting = lambda: "is being trained by process" in login.training_log()  # noqa: E731
    wait_until("the second job's waiting", waiting, seconds=200)
    os.kill(progress["pid"], signal.SIGCONT)
    finish(login, second)
    assert "finished earlier, weights verified: nothing to train" in login.training_log()
    assert_as_undisturbed(login, undisturbed, resumed=0)


@story()
def ctrl_c_cancels_the_jobs_and_the_same_command_goes_on(login, undisturbed):
    snakemake = login.start()
    login.wait_for_states()
    (job,) = login.training_jobs()
    os.killpg(snakemake.pid, signal.SIGINT)  # as a terminal does
    assert snakemake.wait(timeout=200) != 0
    ended = lambda: login.accounting(job, "state")[0].startswith("CANCELLED")  # noqa: E731
    wait_until("the job's end", ended)
    assert login.clone.weights() == {}
    finish(login, login.start())
    assert_as_undisturbed(login, undisturbed)


@story()
def cancelled_by_hand_it_is_submitted_again_and_goes_on(login, undisturbed):
    snakemake = login.start()
    login.wait_for_states()
    login.cluster.call("scancel", *login.training_jobs())
    finish(login, snakemake)
    assert "SLURM status is: 'CANCELLED'" in login.clone.output()
    assert len(login.training_jobs()) == 2
    assert_as_undisturbed(login, undisturbed)


@story()
def a_killed_training_is_submitted_again_and_goes_on(login, undisturbed):
    snakemake = login.start()
    os.kill(login.wait_for_states()["pid"], signal.SIGKILL)
    finish(login, snakemake)
    assert len(login.training_jobs()) == 2
    assert_as_undisturbed(login, undisturbed)


@story()
def slurmd_killed_and_started_again_does_not_touch_the_training(login, undisturbed):
    snakemake = login.start()
    progress = login.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that it surely still runs afterwards
    (job,) = login.training_jobs()
    node = login.node_of(job)
    login.cluster.kill(f"slurmd-{node}")
    login.cluster.start_slurmd(node)
    os.kill(progress["pid"], signal.SIGCONT)
    finish(login, snakemake)
    assert login.training_jobs() == [job]
    assert_as_undisturbed(login, undisturbed, resumed=0)


@story()
def a_second_snakemake_on_the_same_tree_says_so(login, undisturbed):
    snakemake = login.start()
    login.wait_for_states(1)
    code, text = login.run()
    assert code != 0
    assert f"process {snakemake.pid} on " in text
    assert " is at work here; wait for it, or use a second clone" in text
    assert "SLURM jobid" not in text
    finish(login, snakemake)
    assert len(login.training_jobs()) == 1
    assert_as_undisturbed(login, undisturbed, resumed=0)


@story()
def an_output_that_appears_late_does_not_fail_its_job(login, undisturbed):
    """As on a file system that shows the login node late what a compute node wrote."""
    snakemake = login.start()
    login.wait_for_states()
    (job,) = login.training_jobs()
    wait_until(
        "the job's end", lambda: login.accounting(job, "state") == ["COMPLETED"], seconds=200
    )
    (path,) = login.clone.path.glob("runs/*/train.json")
    hidden = login.clone.path / "not-yet-here.json"
    path.rename(hidden)
    missed = lambda: "for missing files" in login.clone.output()  # noqa: E731
    wait_until("Snakemake's waiting for it", missed, seconds=60)
    hidden.rename(path)
    finish(login, snakemake)
    assert login.training_jobs() == [job]
    assert_as_undisturbed(login, undisturbed, resumed=0)


@story()
def a_full_disk_leaves_the_last_state_and_the_next_attempt_goes_on(login, undisturbed):
    runs = login.clone.path / "runs"
    mount = ("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(runs))
    subprocess.run(mount, check=True)
    try:
        snakemake = login.start()
        progress = login.wait_for_states()
        os.kill(progress["pid"], signal.SIGSTOP)
        (index,) = runs.glob("*/resume/states.json")
        states = {path.name: path.read_bytes() for path in index.parent.iterdir()}
        ballast = runs / "ballast"
        free = shutil.disk_usage(runs).free
        ballast.write_bytes(bytes(free - 8192))
        os.kill(progress["pid"], signal.SIGCONT)
        failed = lambda: "No space left" in login.training_log()  # noqa: E731
        wait_until("the full disk's error", failed, seconds=60)
        error = login.training_log()
        kept = {path.name: path.read_bytes() for path in index.parent.iterdir()}
        ballast.unlink()
        finish(login, snakemake)
        assert states == kept, "the states before the failed one, and nothing half-written"
        where = r"error: runs/\w+/resume/state-\d+\.pt: cannot be written "
        space = r"\(No space left on device\); \d+\.\d MB needed, \d+\.\d MB free on this disk; "
        assert re.search(where + space + "free space", error), error
        assert len(login.training_jobs()) == 2
        assert_as_undisturbed(login, undisturbed)
    finally:
        subprocess.run(("umount", "-l", str(runs)), check=True)


@story()
def out_of_memory_the_next_attempt_gets_more(login, undisturbed):
    options = ("--set-resources", "train:mem_mb=250*attempt*attempt")
    code, text = login.run(options=options)
    assert code == 0, text
    first, _ = login.training_jobs()
    assert "exceeded memory limit" in login.slurm_log(first)
    assert login.clone.weights() == undisturbed.weights()


@story("small_template", "small")
def a_table_through_the_cluster_has_the_weights_and_cells_of_a_local_run(login, small):
    code, text = login.run("reports/three.md", "tiny")
    assert code == 0, text
    assert login.clone.weights() == small.weights()
    ours, theirs = login.clone.json("reports/three.json"), small.json("reports/three.json")
    assert ours["rows"] == theirs["rows"]
    # The table itself was made on the login node, without a job.
    assert "rule_report" not in text and "rule_resolve" not in text
    assert "train" in " ".join(login.accounting(login.training_jobs()[0], "comment"))
    assert list((login.clone.path / "logs/slurm-efficiency").glob("*.csv"))
    assert "Nothing to be done" in login.run("reports/three.md", "tiny")[1]


@story("small_template", "small")
def two_nodes_train_one_run_to_the_weights_of_one_process(login, small):
    """One process on each, started by srun and torchrun; the same run but for rounding."""
    clone = login.clone
    clone.write(
        "params/presets/pair.yaml",
        "title: tiny on two nodes\nextends: tiny\nexecution: {processes: 2, nodes: 2}\n",
    )
    code, text = login.run("reports/one.md", "pair")
    assert code == 0, text
    (key,) = clone.weights()
    (job,) = login.training_jobs()
    assert login.accounting(job, "nnodes") == ["2"]
    assert clone.json(f"runs/{key}/train.json")["processes"] == [2]
    ours, theirs = (
        torch.load(where.path / f"runs/{key}/weights.pt", weights_only=True)
        for where in (clone, small)
    )
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@story("template", "whole")
def table_2_in_one_allocation_that_is_queued_again_is_the_local_one(login, whole):
    """All fifteen runs are steps of one job; each keeps its key, its logs, and what it has done."""
    clone = login.clone
    size = ("-N2", "--ntasks-per-node=1", "--cpus-per-task=2", "--mem=6000", "--time=60")
    target = ("reports/table2.md", "--config", "preset=tiny")
    job = login.submit(*size, "profiles/allocation/job.sh", *target)
    wait_until("the first four runs", lambda: len(clone.runs()) >= 4, seconds=400)
    finished = {path: path.stat().st_mtime_ns for path in clone.path.glob("runs/*/finished.json")}
    login.cluster.call("scontrol", "requeue", job)
    ended = lambda: login.accounting(job, "state")[-1] == "COMPLETED"  # noqa: E731
    wait_until("the end of the allocation", ended, seconds=600)
    assert login.accounting(job, "state") == ["REQUEUED", "COMPLETED"]
    assert clone.weights() == whole.weights() and len(clone.weights()) == 15
    assert clone.json("reports/table2.json")["rows"] == whole.json("reports/table2.json")["rows"]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "trained only once"
    for key in clone.weights():
        log = clone.read(f"logs/runs/{key}/train.log")
        assert f"[{key}] 6/6" in log or "finished earlier, weights verified" in log
    steps = login.cluster.call("sacct", "-n", "-P", "-D", "-j", job, "-o", "jobid").split()
    assert len([step for step in steps if re.fullmatch(rf"{job}\.\d+", step)]) >= 31


@story("small_template", "small")
def a_crashing_run_fails_its_own_cell_only(login, small):
    clone = login.clone
    clone.replace(
        "params/tables/three.yaml",
        "model: fcn, published",
        "model: fcn, with: {recipe.weight_decay: 1.0e+30}, published",
    )
    code, text = login.run("reports/three.md", "tiny", ("--retries", "1"))
    assert code != 0
    rows = {row["Kind"]: row["Value"] for row in clone.json("reports/partial/three.json")["rows"]}
    assert rows["Context-aware"]["source"] == rows["Regular"]["source"] == "trained"
    failed = rows["None"]["failed"]
    assert "loss" in failed["error"] and failed["error"] in clone.read(failed["log"])
    assert "three/fcn failed" in clone.read("reports/partial/three.md")


@story("small_template", "small")
def plan_warns_of_a_limit_of_this_clusters_partition(login, small):
    site = login.clone.read("site.yaml") + "set-resources: {train: {runtime: 500}}\n"
    (login.clone.path / "mysite").mkdir()
    login.clone.write("mysite/config.yaml", site)
    profiles = ("--profile", "profiles/slurm", "--profile", "mysite")
    conf = login.environment["SLURM_CONF"]
    plan = login.clone.pipeline("plan", "three", *profiles, SLURM_CONF=conf)
    assert plan.code == 0, "it warns and refuses nothing"
    assert "On the cluster: 7 jobs" in plan.text, plan.text
    assert "train: 3 job(s) ask for up to 500 minutes, partition batch allows 120" in plan.text


@story(alone=True)
def slurmctld_killed_and_started_again_does_not_touch_the_training(login, undisturbed):
    snakemake = login.start()
    training = login.wait_for_states(1)["pid"]
    os.kill(training, signal.SIGSTOP)  # so that it does not end meanwhile
    (job,) = login.training_jobs()
    login.cluster.wait_until_saved(job)
    login.cluster.kill("slurmctld")
    os.kill(training, signal.SIGCONT)
    login.wait_for_states(2)  # training goes on without it
    os.kill(training, signal.SIGSTOP)  # so that it cannot end while nobody is told
    login.cluster.start_slurmctld()
    os.kill(training, signal.SIGCONT)
    finish(login, snakemake)
    assert len(login.training_jobs()) == 1
    assert_as_undisturbed(login, undisturbed, resumed=0)


@story("template", alone=True)
def a_job_starts_within_four_seconds_in_a_study_of_5000_cells(login, undisturbed):
    """From SLURM's start of the job to the start of its command; longer on a busy machine."""
    study = type(login.clone)(login.clone.path.parent / "study")
    write_study(study.path, 5000)
    within = Login(study, login.cluster, login.nodes)
    log = study.path / "logs" / "data" / "voc2012-procedural.log"
    try:
        within.start("data/voc2012-procedural/manifest.json", "mini")
        spool = login.cluster.folder / "spool"
        scripts = lambda: list(spool.glob("*/job*/slurm_script"))  # noqa: E731
        script = wait_until("the job's start", scripts, seconds=200)
        began = script[0].stat().st_mtime
        busy = max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
        wait_until("the start of its command", log.exists)
        took = time.time() - began
    finally:
        within.end()
    assert took < 4 * busy, f"{took:.1f} s at a load of {busy:.1f} per core"
    print(f"a job's start: {took:.1f} s at a load of {busy:.1f} per core")


@pytest.mark.parametrize("name", STORIES)
def test_story(name, told):
    told[name].result()


@pytest.mark.slow
def test_table_2_at_mini_is_the_local_one_bit_for_bit(template, cluster, tmp_path):
    """Both take minutes; `pytest -m "slurm and slow"`."""
    local = template.copy(tmp_path / "local")
    command = ("snakemake", "--cores", "2", "reports/table2.md", "--config", "preset=mini")
    result = local.call(*command, timeout=1800)
    assert result.code == 0, result.text
    login = Login(template.copy(tmp_path / "cluster"), cluster, slurm.NODES)
    try:
        finish(login, login.start("reports/table2.md", "mini"), seconds=3600)
    finally:
        login.end()
    assert len(local.weights()) == 15 and login.clone.weights() == local.weights()
    ours, theirs = login.clone.json("reports/table2.json"), local.json("reports/table2.json")
    assert ours["rows"] == theirs["rows"]
