"""The login node of the tests' cluster: `snakemake --profile profiles/slurm` in a clone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

TRAINING = r"SLURM jobid (\d+) \(log: \S*/rule_train/"

# The second profile, of this site. Jobs of a story stay on the story's own nodes.
SITE = """\
default-resources:
  slurm_account: dmnet
  slurm_partition: batch
  mem_mb: 2000
  runtime: 10
  slurm_extra: "'--exclude={others}'"
slurm-init-seconds-before-status-checks: 3
max-jobs-per-timespan: 100/1s
latency-wait: 20
"""


class Login:
    """One clone, whose jobs run on `nodes` of the cluster."""

    def __init__(self, clone: Any, cluster: Any, nodes: tuple[str, ...]) -> None:
        self.clone, self.cluster, self.nodes = clone, cluster, nodes
        self.started: list[subprocess.Popen[bytes]] = []
        self.submitted: list[str] = []
        clone.output_file.touch()
        others = ",".join(node for node in cluster.states() if node not in nodes)
        site = (
            SITE
            if others
            else "".join(line for line in SITE.splitlines(keepends=True) if "exclude" not in line)
        )
        clone.write("site.yaml", site.format(others=others))

    @property
    def environment(self) -> dict[str, str]:
        environment: dict[str, str] = self.clone.environment() | self.cluster.environment
        environment["PATH"] += os.pathsep + str(Path(sys.executable).parent)
        return environment

    def start(
        self, target: str = "reports/one.md", preset: str = "long", options: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        environment = self.environment
        profiles = ["--profile", "profiles/slurm", "--profile", "site.yaml"]
        # A shell makes what it runs in the background deaf to Ctrl-C; in a terminal it is not.
        snakemake = ["env", "--default-signal=INT", "snakemake"]
        command = [*snakemake, *profiles, target, *self.clone.config(preset), *options]
        with self.clone.output_file.open("a") as output:
            process = subprocess.Popen(
                command,
                cwd=self.clone.path,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def submit(self, *command: str) -> str:
        """A batch script of the user's own on these nodes; SLURM's number of it."""
        others = ",".join(node for node in self.cluster.states() if node not in self.nodes)
        done = subprocess.run(
            ["sbatch", "--parsable", "-A", "dmnet", f"--exclude={others}", *command],
            cwd=self.clone.path,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        self.submitted.append(done.stdout.strip())
        return self.submitted[-1]

    def run(
        self, target: str = "reports/one.md", preset: str = "long", options: tuple[str, ...] = ()
    ) -> tuple[int, str]:
        """Exit code, and what this call has printed."""
        before = len(self.clone.output())
        code = self.start(target, preset, options).wait(timeout=900)
        return code, self.clone.output()[before:]

    def end(self) -> None:
        """Nothing of a story that failed half-way may go on."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for job in [*self.submitted, *re.findall(r"SLURM jobid (\d+)", self.clone.output())]:
            subprocess.run(
                ["scancel", job],
                env=os.environ | self.cluster.environment,
                capture_output=True,
                check=False,
            )
        self._end_orphans()

    def _end_orphans(self) -> None:
        """What a killed job left behind: processes that work in this clone."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                mine = Path(os.readlink(process / "cwd")) == self.clone.path
            except OSError:
                continue
            if mine:
                os.kill(int(process.name), signal.SIGKILL)

    def wait_for_states(self, count: int = 2) -> Any:
        """progress.json of the run, as soon as so many resume states are saved."""
        return self.clone.wait_for_states(count, seconds=300)

    def training_jobs(self) -> list[str]:
        """SLURM's numbers of the trainings that Snakemake submitted."""
        return re.findall(TRAINING, self.clone.output())

    def accounting(self, job: str, field: str) -> list[str]:
        """One entry for every time that the job was started."""
        return self.cluster.call("sacct", "-X", "-n", "-P", "-D", "-j", job, "-o", field).split()

    def node_of(self, job: str) -> str:
        node: str = self.cluster.call("squeue", "-h", "-j", job, "-o", "%N").strip()
        return node

    def slurm_log(self, job: str) -> str:
        (path,) = (self.clone.path / "logs" / "slurm").rglob(f"{job}.log")
        return str(path.read_text())

    def training_log(self) -> str:
        """Of the last attempt: Snakemake removes a job's log before it runs it again."""
        return "".join(path.read_text() for path in self.clone.path.glob("logs/runs/*/train.log"))
