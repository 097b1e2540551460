"""Real Snakemake runs in throw-away clones of this checkout, at a scale of seconds.

    template ──> whole   table2 complete at preset `tiny`        (read only: copy before a change)
             └─> small   table `three` complete at preset `tiny` (read only: copy before a change)
                 └─> undisturbed   table `one` at preset `long`, never interrupted

`template` is a git repository with the files of this checkout, uncommitted ones included, of whose
tables only 1 and 2, and with the presets `tiny` and `long` on the dataset `tiny`.

Each is made once, by whichever of the processes side by side needs it first; the others copy it.
With a folder in DMNET_TEST_CLONES this holds from one call of pytest to the next.
"""

from __future__ import annotations

import hashlib
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
from filelock import FileLock

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
    first: Finished  # the command that made what is in it

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


@dataclass(frozen=True)
class Shelf:
    """Clones that several processes use. Each makes what it is the first to need."""

    folder: Path
    own: pytest.TempPathFactory

    def copy_of(self, name: str, make: Callable[[Path], Clone]) -> Clone:
        """A copy, the caller's own, of the clone that `make` writes to the path it is given."""
        kept = self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{kept}.lock"):
            done = kept / "done.json"
            if not done.exists():
                shutil.rmtree(kept, ignore_errors=True)  # of one that was killed
                clone = make(kept / "clone")
                first = getattr(clone, "first", Finished(0, ""))
                done.write_text(json.dumps([first.code, first.text]))
        copy = Clone(kept / "clone").copy(self.own.mktemp(name) / "clone")
        copy.first = Finished(*json.loads(done.read_text()))
        return copy


def checkout() -> list[Path]:
    """The files of this checkout, uncommitted ones included."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = [name for name in listing.stdout.split("\0") if name and not OWN.match(name)]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    if given := os.environ.get("DMNET_TEST_CLONES"):
        # What this code and this interpreter make, whose path stands in what Snakemake remembers.
        digest = hashlib.sha256(f"{sys.executable} {REPOSITORY}".encode())
        for path in [*checkout(), Path(__file__)]:
            digest.update(f"{path} {path.stat().st_mode}".encode() + path.read_bytes())
        return Shelf(Path(given) / digest.hexdigest()[:16], tmp_path_factory)
    own = tmp_path_factory.getbasetemp()
    return Shelf(
        (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shelf", tmp_path_factory
    )


@pytest.fixture(scope="session")
def template(shelf: Shelf) -> Clone:
    return shelf.copy_of("template", make_template)


def make_template(path: Path) -> Clone:
    clone = Clone(path)
    for source in checkout():
        target = clone.path / source.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
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
def whole(template: Clone, shelf: Shelf) -> Clone:
    """Table 2, made from nothing by the command that the README gives."""
    return shelf.copy_of("whole", lambda path: made(template.copy(path), "reports/table2.md"))


def made(clone: Clone, target: str, preset: str = "tiny") -> Clone:
    clone.first = clone.snakemake(target, preset=preset)
    assert clone.first.code == 0, clone.first.text
    return clone


@pytest.fixture(scope="session")
def small_template(template: Clone, shelf: Shelf) -> Clone:
    """The template with the tables `one` and `three`, of as many cells."""

    def make(path: Path) -> Clone:
        clone = template.copy(path)
        clone.write("params/tables/one.yaml", TABLE)
        clone.write("params/tables/three.yaml", TABLE + MORE_ROWS)
        clone.git("add", "-A")
        clone.git("commit", "-q", "-m", "small tables")
        return clone

    return shelf.copy_of("small-template", make)


@pytest.fixture(scope="session")
def small(small_template: Clone, shelf: Shelf) -> Clone:
    return shelf.copy_of("small", lambda path: made(small_template.copy(path), "reports/three.md"))


@pytest.fixture(scope="session")
def undisturbed(small: Clone, shelf: Shelf) -> Clone:
    """One longer run from beginning to end: what interrupted ones must arrive at."""

    def make(path: Path) -> Clone:
        clone = small.copy(path)
        clone.forget_runs()
        made(clone, "reports/one.md", preset="long")
        assert len(clone.runs()) == 1
        return clone

    return shelf.copy_of("undisturbed", make)


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
