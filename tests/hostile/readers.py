"""Everything that reads files which a colleague or a stranger may have brought, as calls.

Each call works in the folder of a study (`study`). Which files it reads is not written down here:
it is what it opens when nothing is wrong (`Watch.opened`), and those are then mutated. What a child
process reads, which is not seen, is named by patterns. `doors` tells what no call leads to.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from snakemake.exceptions import WorkflowError

from dmnet.__main__ import main as dmnet_main
from dmnet.backbones import ResNet
from dmnet.config import (
    DatasetConfig,
    JobConfig,
    ReleaseJob,
    ResNetConfig,
    WeightsConfig,
    parse,
    parse_job,
)
from dmnet.data.dataset import SegmentationDataset
from dmnet.data.manifest import Manifest
from dmnet.data.prepare import LAYOUTS
from dmnet.files import MAX_BYTES, read_bounded, read_json, sha256_file
from dmnet.importers.released import import_released
from dmnet.importers.untrusted import read_checkpoint
from dmnet.training.history import read_history
from dmnet.training.start_weights import load_start_weights
from dmnet.weights import load_trained, read_file, trained_weights
from pipeline.__main__ import main as pipeline_main
from pipeline.dvc.entries import DvcEntry, entries, read_entry
from pipeline.errors import RecordError, SpecError
from pipeline.inspection.verify.repair import repair
from pipeline.records.artifacts import track
from pipeline.records.sharing import pull, push
from pipeline.spec.checkpoints import fetch_checkpoints
from pipeline.spec.params import Params
from pipeline.tracking.runs import predicted_images, read_finished, read_training, system_points
from pipeline.workflow import Study
from pipeline.workflow.one_cell import Hints
from tests.hostile.mutate import remove
from tests.hostile.sources import SOURCES
from tests.hostile.study import SCALE, START, experiment

PARAMS = Path("params")
RECORDED = ("runs/", "released/", "predictions/", "counts/", "speed/")


@dataclass
class Ended:
    """A command: exit status and what it said to people who look for errors."""

    status: int
    errors: str
    printed: str


@dataclass(frozen=True)
class Reader:
    """writes: what the call may change in the study; also: files that its children read."""

    name: str
    call: Callable[[], Any]
    writes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    weight: float = 1.0


def command(main: Callable[[list[str]], int], *arguments: str) -> Ended:
    errors, printed = StringIO(), StringIO()
    with redirect_stderr(errors), mock.patch("sys.stdout", printed):
        try:
            status = main([*arguments])
        except SystemExit as ended:  # argparse's
            status = int(ended.code or 0)
    return Ended(status, errors.getvalue(), printed.getvalue())


def _pipeline(*arguments: str) -> Callable[[], Ended]:
    return lambda: command(pipeline_main, *arguments)


def _dmnet(*arguments: str) -> Callable[[], Ended]:
    return lambda: command(dmnet_main, *arguments)


@cache
def _one(pattern: str) -> str:
    """In the untouched study, where it is asked first."""
    return sorted(Path().glob(pattern))[0].as_posix()


@contextmanager
def _without_dvc() -> Iterator[None]:
    """DVC takes seconds to start; what is given to it is checked before."""

    def refuse(*_: Any) -> str:
        raise RecordError("dvc: not started here")

    with (
        mock.patch("pipeline.records.artifacts.dvc", refuse),
        mock.patch("pipeline.dvc.command.run", refuse),
    ):
        yield


def _recorded() -> list[Any]:
    """What MLflow is told."""
    found, told = experiment(2), []
    for run in (*found.runs.values(), *found.releases.values()):
        folder = "runs" if run.key in found.runs else "released"
        if Path(folder, run.key, "train.json").exists():
            tracked = read_finished(found, run, Path())
            told += [tracked.points, tracked.tags, tracked.tables, tracked.params]
            told += [predicted_images(run.key, tracked.weights or "", Path())]
        elif run.key in found.runs:
            told.append(read_training(found, run, Path()).points)
        told.append(system_points(run.key, Path()))
    return told


def _tracked() -> str:
    with _without_dvc():
        found = experiment()
        done = track({*found.runs, *found.releases})
    for problem in done.problems:
        if "\n" in str(problem):
            raise AssertionError(f"not one line: {problem}")
    return done.line


def _pulled() -> Any:
    with mock.patch("pipeline.records.sharing.dvc", lambda *_: "{}"), _without_dvc():
        return [pull(), pull(results=True), push()]


def _repaired() -> list[str]:
    """With a damaged measurement, so that there is something to do."""
    for pattern in ("counts/*.json", "runs/*/history.jsonl"):
        path = Path(_one(pattern))
        remove(path)
        path.write_text("{}")
    with mock.patch("pipeline.inspection.verify.repair.dvc", lambda *_: ""), _without_dvc():
        return repair()


def _checked() -> Ended:
    with _without_dvc():
        return command(pipeline_main, "check")


def _imported() -> Any:
    """Whatever the checkpoint's hash is: nobody publishes sssegmentation's."""
    config = _one("released/*/config.json")
    job = parse(ReleaseJob, read_json(Path(config)), config)
    checkpoint = job.run.checkpoint
    files = tuple(file.model_copy(update={"sha256_prefix": None}) for file in checkpoint.files)
    unproven = checkpoint.model_copy(update={"files": files})
    run = job.run.model_copy(update={"checkpoint": unproven})
    return import_released(job.model_copy(update={"run": run}), Path("weights"), Path("imported/x"))


def _fetched() -> None:
    fetch_checkpoints(PARAMS, "narrow*", Path("fetched"), mirror="weights")


def _started(values: dict[str, Any]) -> Study:
    try:
        return Study(values, clone=Path())
    except WorkflowError as error:  # how Snakemake wants to be told
        raise SpecError(str(error.args[0])) from error


def _parsed() -> Any:
    """What every start of Snakemake and every job of a cluster reads."""
    found = _started({"preset": "tiny", "source": "both"})
    jobs = found.jobs.experiment
    texts = [found.inputs.of_training(key, str) for key in jobs.runs]
    texts += [found.inputs.of_result(one.path, str) for one in jobs.evaluations.values()]
    hints = Hints("tiny", 1, "both")
    hints.experiment(next(iter(jobs.evaluations.values())).path, Params(PARAMS))
    return texts


def _samples() -> list[tuple[int, ...]]:
    """The prepared data as a training decodes them."""
    shapes: list[tuple[int, ...]] = []
    for split in ("trainaug", "val"):
        data = DatasetConfig.model_validate(_dataset("drawn")).identity
        loaded = SegmentationDataset(Manifest.load(Path("data/drawn")), split, data, 1.0)
        shapes += [tuple(loaded.read(index)[0].shape) for index in range(len(loaded))]
    return shapes


def _dataset(name: str) -> dict[str, Any]:
    return Params(PARAMS).dataset(name, "the fuzzer").model_dump(mode="json")


def _prepared(layout: str) -> Callable[[], Any]:
    def prepare() -> Any:
        config = SOURCES[layout]
        folder = Path("prepared", layout)
        folder.mkdir(parents=True)
        given = json.dumps(config.model_dump(mode="json"))
        ended = command(
            dmnet_main,
            *("prepare", "--dataset", given, "--folder", str(folder)),
            *("--sources", f"sources/{layout}"),
        )
        if ended.status and any(folder.rglob("manifest.json")):
            raise AssertionError("a manifest was left after a failure")
        return ended

    return prepare


@cache
def _protocol(run: str) -> str:
    """In the untouched study, as `_one`."""
    return json.dumps(read_json(Path(_one(f"{run}/evaluations/*.json")))["evaluation"])


def _applied(action: str, where: str) -> Callable[[], Ended]:
    """A trained run, or an imported checkpoint, on the prepared data."""

    def apply() -> Ended:
        run = str(Path(_one(f"{where}/*/weights.pt")).parent)
        given = ("--run", run, "--config", _protocol(run), "--data", "data/drawn")
        return command(dmnet_main, action, *given, "--output", "applied/x.json")

    return apply


def _trained(state: str) -> Callable[[], Ended]:
    """Going on with a stopped run, or asking for a finished one again."""

    def train() -> Ended:
        stopped = Path(_one("runs/*/resume/states.json")).parents[1].name
        keys = sorted(path.parent.name for path in Path("runs").glob("*/finished.json"))
        key = stopped if state == "stopped" else keys[0]
        given = ("--config", f"runs/{key}/config.json", "--data", "data/drawn")
        return command(dmnet_main, "train", *given)

    return train


def _exported() -> Ended:
    run = str(Path(_one("runs/*/weights.pt")).parent)
    given = ("--run", run, "--zoo", "mmsegmentation", "--output", "applied/x.pth")
    return command(dmnet_main, "export", *given)


def _child() -> Any:
    """A run that starts from another's weights."""
    from dmnet.segmentor import Segmentor
    from dmnet.training.start_weights import load_parent

    run = Path(_one("runs/*/weights.pt")).parent
    job = parse(JobConfig, read_json(run / "config.json"), str(run / "config.json"))
    return load_parent(Segmentor(job.run.model, job.run.data.classes), run)


def _released_weights() -> Any:
    run = Path(_one("released/*/weights.pt")).parent
    job = parse_job(read_json(run / "config.json"), str(run / "config.json"))
    return load_trained(job.run, *trained_weights(run)) and None


def _start_weights(stem: str) -> Callable[[], Any]:
    """ImageNet weights in torchvision's and in OpenMMLab's layout, whatever their hash is."""

    def load() -> Any:
        path = Path("weights", f"start-{stem}.pth")
        prefix = "0" * 8
        with suppress(OSError):
            prefix = sha256_file(path)[:8]
        published = {"file": path.name, "url": "https://example.org/x", "sha256_prefix": prefix}
        config = WeightsConfig.model_validate({"name": stem, **published})
        return load_start_weights(
            ResNet(ResNetConfig.model_validate(START | {"stem": stem})), config, Path("weights")
        )

    return load


def _foreign_checkpoint() -> None:
    path = Path(_one("weights/*.pth"))
    read_checkpoint(read_file(path), path)


def _entries() -> list[DvcEntry]:
    return [read_entry(path) for path in entries()]


def _settings() -> str | None:
    """What was given with --config, as Snakemake hands it on; in a file, to be mutated."""
    try:
        values = json.loads(read_bounded(Path("settings.json"), MAX_BYTES))
        given = {str(key): value for key, value in values.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # Snakemake's affair
    return _started(given).options


READERS = [
    Reader("status", _pipeline("status", *SCALE)),
    Reader("status of two seeds", _pipeline("status", *SCALE, "--seeds", "2")),
    Reader("verify", _pipeline("verify")),
    Reader("verify --quick", _pipeline("verify", "--quick")),
    Reader("plan", _pipeline("plan", *SCALE), weight=0.5),
    Reader("plan --profile", _pipeline("plan", *SCALE, "--profile", "profiles/slurm")),
    Reader("data --check", _pipeline("data", *SCALE, "--check", "--sources", "sources/voc2012aug")),
    *(
        Reader(f"show {cell}", _pipeline("show", f"hostile/{cell}", *SCALE))
        for cell in ("ours", "fcn", "fps", "counted")
    ),
    Reader("gc", _pipeline("gc", "--preset", "tiny")),
    Reader("check", _checked, weight=2),
    Reader("report", _pipeline("report", "hostile", *SCALE), ("reports/partial",), weight=2),
    Reader("partial", _pipeline("partial", *SCALE, "--seeds", "2"), ("reports/partial",)),
    Reader("summary", _pipeline("summary", *SCALE), ("reports/",)),
    Reader("page", _pipeline("page", *SCALE), ("reports/",)),
    Reader("figure", _pipeline("figure", "figure3", *SCALE), ("reports/",)),
    Reader(
        "submission",
        lambda: command(
            pipeline_main,
            *("submission", "hostile", *SCALE),
            *("--predictions", experiment().submissions["hostile"].predictions),
        ),
        ("reports/",),
    ),
    Reader("what MLflow is told", _recorded),
    Reader("what DVC is given", _tracked, RECORDED),
    Reader("DVC's entries", _entries),
    Reader("pull and push", _pulled, RECORDED),
    Reader("repair", _repaired, (*RECORDED, ".dvc/cache")),
    Reader("the workflow's start", _parsed),
    Reader("settings", _settings),
    Reader("a prepared sample", _samples, weight=2),
    Reader("an evaluation", _applied("evaluate", "runs"), ("applied",), weight=0.5),
    Reader("a prediction", _applied("predict", "released"), ("applied",), weight=0.5),
    Reader("a stopped training", _trained("stopped"), ("runs/",), weight=0.5),
    Reader("a finished training", _trained("finished"), ("runs/",)),
    Reader("an export", _exported, ("applied",)),
    Reader("a child's start", _child),
    Reader("released weights", _released_weights),
    *(Reader(f"{stem} start weights", _start_weights(stem)) for stem in ("plain", "deep")),
    Reader("official figures", lambda: Params(PARAMS).official),
    Reader("an import", _imported, ("imported",)),
    Reader("a fetch", _fetched, ("fetched",)),
    Reader("a checkpoint", _foreign_checkpoint),
    Reader("a history", lambda: read_history(Path(_one("runs/*/history.jsonl")))),
    *(
        Reader(f"preparing {layout}", _prepared(layout), ("prepared",), (f"sources/{layout}/**/*",))
        for layout in LAYOUTS
    ),
]


def quiet() -> None:
    logging.disable(logging.CRITICAL)
