"""Real Snakemake runs in throw-away clones of this checkout, at a scale of seconds.

    template ──> whole   table2 complete at preset `tiny`        (read only: copy before a change)
             └─> small   table `three` complete at preset `tiny` (read only: copy before a change)
                 └─> undisturbed   table `one` at preset `long`, never interrupted

`template` is a git repository with the files of this checkout, uncommitted ones included, of whose
tables only 1 and 2, and with the presets `tiny` and `long` on the dataset `tiny`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

# Neither the tests nor this checkout's own results are part of the workflow.
OWN = re.compile(r"tests/|(runs|released|predictions|counts|speed)/.*\.dvc$")
REPOSITORY = Path(__file__).resolve().parents[2]
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
ITERATIONS = {"tiny": 6, "long": 160}

PRESET = """\
title: a test in seconds
judged: false
shows: Nothing but that every stage runs.
datasets: {{voc2012aug: tiny}}
set:
  backbone.width: 4
  backbone.weights: null
  head.channels: 8
  auxiliary.*.head.channels: 4
  recipe.iterations: {iterations}
  recipe.batch_size: 2
  recipe.crop_size: [32, 32]
  recipe.lr: 0.05
cpu_threads: 1
execution:
  {{workers: 0, checkpoint_every: {checkpoint}, validate_every: {validate}, log_every: {log}}}
"""

TABLE = """\
title: A table of the tests
source: nobody
columns: [Kind, Value]
defaults: {dataset: voc2012aug, recipe: paper-voc, inference: single-scale}
rows:
  - {Kind: Context-aware, Value: {cell: ours, model: dmnet, published: 78.21}}
"""

MORE_ROWS = """\
  - {Kind: Regular, Value: {cell: regular, model: dilated, with: {head.dilations: [1, 2, 3, 4]}}}
  - {Kind: None, Value: {cell: fcn, model: fcn, published: 70.0}}
"""


@dataclass(frozen=True)
class Finished:
    """A command that ended: exit code and everything it printed."""

    code: int
    text: str

    @property
    def jobs(self) -> dict[str, int]:
        """The jobs of Snakemake's table that cost something, e.g. {"train": 15, "report": 1}."""
        found = dict(re.findall(r"^([a-z]+) +(\d+)$", self.text, re.M))
        costly = ("prepare", "train", "evaluate", "predict", "report", "figure")
        return {rule: int(found[rule]) for rule in costly if rule in found}


class Clone:
    """A copy of the checkout in which commands run."""

    record = True  # whether Snakemake tells MLflow and DVC of the runs

    def __init__(self, path: Path) -> None:
        self.path = path

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "SNAKEMAKE_"))}
        # The tests' own interpreter, not whatever the shell finds.
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        kept["DVC_NO_ANALYTICS"] = "1"
        return kept | extra

    def call(self, *command: str, timeout: float = 300, **environment: str) -> Finished:
        result = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(result.returncode, result.stdout)

    def snakemake(self, *arguments: str, preset: str = "tiny", **environment: str) -> Finished:
        command = ["snakemake", "--cores", "2", *arguments]
        if "--config" not in arguments:
            command += self.config(preset)
        return self.call(*command, **environment)

    def config(self, preset: str) -> list[str]:
        return ["--config", f"preset={preset}", *([] if self.record else ["record=no"])]

    def python(self, *arguments: str, **environment: str) -> Finished:
        return self.call(sys.executable, *arguments, **environment)

    def pipeline(self, *arguments: str, preset: str = "tiny", **environment: str) -> Finished:
        return self.python("-m", "pipeline", *arguments, "--preset", preset, **environment)

    def start(self, *arguments: str, preset: str = "tiny") -> subprocess.Popen[str]:
        """Snakemake in the background, in a process group of its own; output in `output.txt`."""
        command = ["snakemake", "--cores", "2", *arguments, *self.config(preset)]
        with self.output_file.open("a") as output:
            return subprocess.Popen(
                command,
                cwd=self.path,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )

    @property
    def output_file(self) -> Path:
        return self.path.parent / f"{self.path.name}-output.txt"

    def output(self) -> str:
        """What everything that was started in the background has printed so far."""
        return self.output_file.read_text()

    def wait_for_output(self, text: str) -> None:
        wait_until(lambda: text in self.output())

    def git(self, *arguments: str) -> str:
        result = self.call("git", *IDENTITY, *arguments)
        assert result.code == 0, result.text
        return result.text

    def copy(self, path: Path) -> Clone:
        shutil.copytree(self.path, path, symlinks=True)  # times included: Snakemake compares them
        return Clone(path)

    def read(self, path: str) -> str:
        return (self.path / path).read_text()

    def json(self, path: str) -> Any:
        return json.loads(self.read(path))

    def write(self, path: str, text: str) -> None:
        (self.path / path).write_text(text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    def forget(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def forget_runs(self) -> None:
        """As if nothing had been trained; the dataset stays."""
        for path in self.path.glob("runs/*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix == ".dvc":
                path.unlink()
        self.forget("runs/.locks", "reports", "logs/runs")

    def runs(self) -> dict[str, Any]:
        """key -> train.json of every finished run."""
        found = sorted(self.path.glob("runs/*/train.json"))
        return {path.parent.name: json.loads(path.read_text()) for path in found}

    def weights(self) -> dict[str, str]:
        return {key: run["weights"]["sha256"] for key, run in self.runs().items()}

    def leftovers(self) -> list[Path]:
        """Files under a temporary name: what an unfinished write would leave."""
        folders = [self.path / name for name in ("runs", "data", "reports")]
        return [path for folder in folders for path in folder.rglob("*.tmp")]

    def wait_for_states(self, count: int = 2, seconds: float = 60) -> dict[str, Any]:
        """progress.json of the run, as soon as `count` resume states are saved."""

        def progress() -> Any:
            for index in self.path.glob("runs/*/resume/states.json"):
                try:
                    if len(json.loads(index.read_text())["states"]) >= count:
                        return json.loads((index.parents[1] / "progress.json").read_text())
                except FileNotFoundError:
                    continue
            return None

        found: dict[str, Any] = wait_until(progress, seconds)
        return found

    def flip_a_byte(self, path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("template") / "clone")
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listing.stdout.split("\0"):
        source = REPOSITORY / name
        if OWN.match(name) or not source.is_file():
            continue
        (clone.path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, clone.path / name)
    # Tables 1 and 2 stand for all: their counts are known, and one dataset serves both.
    for table in (clone.path / "params" / "tables").glob("*.yaml"):
        if table.stem not in ("table1", "table2"):
            table.unlink()
    for name, checkpoint, validate, log in (("tiny", 2, 3, 1), ("long", 10, 80, 4)):
        text = PRESET.format(
            iterations=ITERATIONS[name], checkpoint=checkpoint, validate=validate, log=log
        )
        clone.write(f"params/presets/{name}.yaml", text)
    dataset = yaml.safe_load(clone.read("params/datasets/voc2012-procedural.yaml"))
    dataset["counts"] = {"train": 6, "trainaug": 14, "val": 4, "trainval": 10}
    dataset["generate"]["images"] = {"train": 6, "sbd": 8, "val": 4}
    clone.write("params/datasets/tiny.yaml", yaml.safe_dump(dataset, sort_keys=False))
    clone.git("init", "-q")
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "template")
    return clone


@pytest.fixture(scope="session")
def whole(template: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Table 2, made from nothing by the command that the README gives."""
    clone = template.copy(tmp_path_factory.mktemp("whole") / "clone")
    result = clone.snakemake("reports/table2.md")
    assert result.code == 0, result.text
    clone.first = result  # type: ignore[attr-defined]
    return clone


@pytest.fixture(scope="session")
def small_template(template: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The template with the tables `one` and `three`, of as many cells."""
    clone = template.copy(tmp_path_factory.mktemp("small-template") / "clone")
    clone.write("params/tables/one.yaml", TABLE)
    clone.write("params/tables/three.yaml", TABLE + MORE_ROWS)
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "small tables")
    return clone


@pytest.fixture(scope="session")
def small(small_template: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = small_template.copy(tmp_path_factory.mktemp("small") / "clone")
    result = clone.snakemake("reports/three.md")
    assert result.code == 0, result.text
    return clone


@pytest.fixture(scope="session")
def undisturbed(small: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """One longer run from beginning to end: what interrupted ones must arrive at."""
    clone = small.copy(tmp_path_factory.mktemp("undisturbed") / "clone")
    clone.forget_runs()
    result = clone.snakemake("reports/one.md", preset="long")
    assert result.code == 0, result.text
    assert len(clone.runs()) == 1
    return clone


@pytest.fixture
def unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at no record, which takes longer than their jobs."""
    monkeypatch.setattr(Clone, "record", False)


@pytest.fixture
def before_training(undisturbed: Clone, tmp_path: Path) -> Clone:
    """The clone of `undisturbed` with its dataset, but without its run."""
    clone = undisturbed.copy(tmp_path / "clone")
    clone.forget_runs()
    return clone
