"""On a real SLURM cluster of this one machine: disturbed in every way, the same weights.

`make test-slurm` runs these. They need root and Debian's SLURM (tests/slurm/README.md); whatever is
missing is a failure. The profile is the one that users take, with a second one for the site.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.slurm

HERE = Path(__file__).resolve().parent
ITERATIONS = 160  # of preset `long`
SITE = """\
default-resources:
  slurm_account: dmnet
  slurm_partition: batch
  mem_mb: 2000
  runtime: 10
slurm-init-seconds-before-status-checks: 3
latency-wait: 10
"""


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


slurm = _load("slurm_cluster", HERE.parent / "slurm" / "cluster.py")


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


class Login:
    """The login node, on which `snakemake --profile profiles/slurm` is called in a clone."""

    def __init__(self, clone, cluster):
        self.clone, self.cluster = clone, cluster
        self.started: list[subprocess.Popen[bytes]] = []
        clone.write("site.yaml", SITE)

    def command(self, target, preset, *options):
        profiles = ["--profile", "profiles/slurm", "--profile", "site.yaml"]
        return ["snakemake", *profiles, target, "--config", f"preset={preset}", *options]

    def start(self, target="reports/one.md", preset="long", options=()):
        environment = self.clone.environment() | self.cluster.environment
        environment["PATH"] += os.pathsep + str(Path(sys.executable).parent)
        with self.clone.output_file.open("a") as output:
            process = subprocess.Popen(
                self.command(target, preset, *options),
                cwd=self.clone.path,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def end(self):
        """Nothing of a test that failed half-way may disturb the next one."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.cluster.call("scancel", "--user=root")

    def run(self, target="reports/one.md", preset="long", options=()):
        code = self.start(target, preset, options).wait(timeout=600)
        return code, self.clone.output()

    def training_job(self):
        """SLURM's number of the training that was submitted last."""
        found = re.findall(r"SLURM jobid (\d+) \(log: \S*/rule_train/", self.clone.output())
        return found[-1]

    def slurm_log(self, job):
        (path,) = (self.clone.path / "logs" / "slurm").rglob(f"{job}.log")
        return path.read_text()

    def submitted_trainings(self):
        return len(re.findall(r"SLURM jobid \d+ \(log: \S*/rule_train/", self.clone.output()))

    def training_log(self):
        """Of the last attempt: Snakemake removes a job's log before it runs it again."""
        return "".join(path.read_text() for path in self.clone.path.glob("logs/runs/*/train.log"))


def accounting(cluster, job, field):
    return cluster.call("sacct", "-X", "-n", "-P", "-D", "-j", job, "-o", field).split()


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


@pytest.fixture
def login(before_training, cluster):
    login = Login(before_training, cluster)
    yield login
    login.end()


def test_a_table_through_the_cluster_has_the_weights_and_cells_of_a_local_run(
    small, small_template, cluster, tmp_path
):
    login = Login(small_template.copy(tmp_path / "clone"), cluster)
    code, text = login.run("reports/three.md", "tiny")
    assert code == 0, text
    assert login.clone.weights() == small.weights()
    ours, theirs = login.clone.json("reports/three.json"), small.json("reports/three.json")
    assert ours["rows"] == theirs["rows"]
    # The table itself was made on the login node, without a job.
    assert "rule_report" not in text and "rule_resolve" not in text
    assert re.search(r"train", " ".join(accounting(cluster, login.training_job(), "comment")))
    assert list((login.clone.path / "logs/slurm-efficiency").glob("*.csv"))
    again = login.run("reports/three.md", "tiny")[1][len(text) :]
    assert "Nothing to be done" in again


def test_preempted_in_mid_training_it_is_queued_again_and_goes_on(login, undisturbed, cluster):
    snakemake = login.start()
    login.clone.wait_for_states()
    job = login.training_job()
    urgent = ("sbatch", "-p", "urgent", "-A", "dmnet", "-N3", "--exclusive", "--mem=100")
    cluster.call(*urgent, "-o", "/dev/null", "--wrap", "sleep 1")
    slurm.wait_until("the preemption", lambda: "PREEMPTED" in accounting(cluster, job, "state"))
    assert snakemake.wait(timeout=400) == 0, login.clone.output()
    assert login.submitted_trainings() == 1, "SLURM requeued it, Snakemake did not submit again"
    assert_as_undisturbed(login, undisturbed)


def test_cancelled_by_hand_it_is_submitted_again_and_goes_on(login, undisturbed, cluster):
    snakemake = login.start()
    login.clone.wait_for_states()
    cluster.call("scancel", login.training_job())
    assert snakemake.wait(timeout=400) == 0, login.clone.output()
    assert "SLURM status is: 'CANCELLED'" in login.clone.output()
    assert login.submitted_trainings() == 2
    assert_as_undisturbed(login, undisturbed)


def test_ended_by_its_time_limit_it_is_submitted_again_and_goes_on(login, undisturbed, cluster):
    snakemake = login.start()
    progress = login.clone.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that it cannot be ready before its time is over
    job = login.training_job()
    cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    assert snakemake.wait(timeout=500) == 0, login.clone.output()
    assert accounting(cluster, job, "state") == ["TIMEOUT"]
    assert_as_undisturbed(login, undisturbed)


def test_a_killed_training_is_submitted_again_and_goes_on(login, undisturbed):
    snakemake = login.start()
    os.kill(login.clone.wait_for_states()["pid"], signal.SIGKILL)
    assert snakemake.wait(timeout=400) == 0, login.clone.output()
    assert login.submitted_trainings() == 2
    assert_as_undisturbed(login, undisturbed)


def test_a_killed_job_step_leaves_its_training_to_end_and_is_queued_again(
    login, undisturbed, cluster
):
    """SLURM takes the node for failed; the requeued job finds what the orphan has finished."""
    snakemake = login.start()
    login.clone.wait_for_states()
    for pid in cluster.steps(login.training_job()):
        os.kill(pid, signal.SIGKILL)
    assert snakemake.wait(timeout=500) == 0, login.clone.output()
    assert login.submitted_trainings() == 1
    assert_as_undisturbed(login, undisturbed, resumed=0)


def test_slurmd_killed_and_started_again_does_not_touch_the_training(login, undisturbed, cluster):
    snakemake = login.start()
    progress = login.clone.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that it surely still runs afterwards
    (node,) = accounting(cluster, login.training_job(), "nodelist")
    cluster.kill(f"slurmd-{node}")
    cluster.start_slurmd(node)
    os.kill(progress["pid"], signal.SIGCONT)
    assert snakemake.wait(timeout=400) == 0, login.clone.output()
    assert login.submitted_trainings() == 1
    assert_as_undisturbed(login, undisturbed, resumed=0)


def test_a_lost_node_gives_its_training_to_another(login, undisturbed, cluster):
    """The node is silent and its training hangs; SLURM queues the job again elsewhere."""
    snakemake = login.start()
    progress = login.clone.wait_for_states()
    job = login.training_job()
    (node,) = accounting(cluster, job, "nodelist")
    cluster.kill(f"slurmd-{node}")
    for pid in [progress["pid"], *cluster.steps(job)]:
        os.kill(pid, signal.SIGKILL)
    try:
        assert snakemake.wait(timeout=500) == 0, login.clone.output()
    finally:
        cluster.start_slurmd(node)
    assert_as_undisturbed(login, undisturbed)


def test_slurmctld_killed_and_started_again_does_not_touch_the_training(
    login, undisturbed, cluster
):
    snakemake = login.start()
    login.clone.wait_for_states(1)
    cluster.kill("slurmctld")
    login.clone.wait_for_states(2)  # training goes on without it
    cluster.start_slurmctld()
    assert snakemake.wait(timeout=400) == 0, login.clone.output()
    assert login.submitted_trainings() == 1
    assert_as_undisturbed(login, undisturbed, resumed=0)


def test_snakemake_killed_and_called_again_waits_for_its_orphan(login, undisturbed, cluster):
    """The job of the killed Snakemake trains on; the job of the second one finds it finished."""
    first = login.start()
    progress = login.clone.wait_for_states()
    os.kill(progress["pid"], signal.SIGSTOP)  # so that both surely meet
    first.kill()
    first.wait()
    second = login.start()
    waiting = lambda: "is being trained by process" in login.training_log()  # noqa: E731
    slurm.wait_until("the second job's waiting", waiting, seconds=120)
    os.kill(progress["pid"], signal.SIGCONT)
    assert second.wait(timeout=400) == 0, login.clone.output()
    assert "finished earlier, weights verified: nothing to train" in login.training_log()
    assert_as_undisturbed(login, undisturbed, resumed=0)


def test_out_of_memory_the_next_attempt_gets_more(login, undisturbed, cluster):
    options = ("--set-resources", "train:mem_mb=250*attempt*attempt")
    code, text = login.run(options=options)
    assert code == 0, text
    assert login.submitted_trainings() == 2
    first = re.findall(r"SLURM jobid (\d+) \(log: \S*/rule_train/", text)[0]
    assert "exceeded memory limit" in login.slurm_log(first)
    assert login.clone.weights() == undisturbed.weights()


def test_a_crashing_run_fails_its_own_cell_only(small_template, cluster, tmp_path):
    clone = small_template.copy(tmp_path / "clone")
    clone.replace(
        "params/tables/three.yaml",
        "model: fcn, published",
        "model: fcn, with: {recipe.weight_decay: 1.0e+30}, published",
    )
    login = Login(clone, cluster)
    code, text = login.run("reports/three.md", "tiny", ("--retries", "1"))
    assert code != 0
    rows = {row["Kind"]: row["Value"] for row in clone.json("reports/partial/three.json")["rows"]}
    assert rows["Context-aware"]["source"] == rows["Regular"]["source"] == "trained"
    failed = rows["None"]["failed"]
    assert "loss" in failed["error"] and failed["error"] in clone.read(failed["log"])
    assert "three/fcn failed" in clone.read("reports/partial/three.md")
