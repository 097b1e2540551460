"""A small finished study in a folder: every kind of file that a clone has, made by the real code.

One dataset of drawn images, three trainings of six iterations, an interrupted one and a failed
one, an imported checkpoint, counts, a speed, predictions, every report, DVC's entries.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import yaml

from dmnet.__main__ import main as dmnet
from dmnet.backbones import ResNet
from dmnet.config import ResNetConfig
from dmnet.files import sha256_file, write_json, write_text
from dmnet.importers import mmseg, resnet
from dmnet.importers.names import translate
from dmnet.training.trainer import Trainer
from pipeline import paths
from pipeline.__main__ import main as pipeline
from pipeline.dvc.entries import md5_of, without_md5s
from pipeline.experiments import Experiment, build_experiment
from pipeline.experiments.figures import load_figures
from pipeline.workflow.one_cell import Hints
from tests.hostile.sources import make_sources

REPOSITORY = Path(__file__).resolve().parents[2]
SCALE = ["--preset", "tiny", "--source", "both"]
CHECKPOINT = "narrow_dmnet"
START = {"name": "resnet", "width": 4}  # what starts from published weights

PRESET = """\
title: a test in seconds
judged: false
shows: Nothing but that every stage runs.
datasets: {voc2012aug: drawn, voc2012-test: drawn-test}
set:
  backbone.width: 4
  backbone.weights: null
  head.channels: 8
  auxiliary.*.head.channels: 4
  recipe.iterations: 6
  recipe.batch_size: 4
  recipe.crop_size: [32, 32]
  recipe.lr: 0.05
cpu_threads: 1
execution: {workers: 0, checkpoint_every: 2, validate_every: 3, log_every: 1}
"""
TABLE = """\
title: A table of the tests
source: nobody
columns: [Kind, mIoU, Fps, Weights]
defaults: {dataset: voc2012aug, recipe: paper-voc, inference: single-scale}
submission: {cell: ours, dataset: voc2012-test, member: results/comp6_test_cls}
rows:
  - Kind: DMNet
    mIoU: {cell: ours, model: narrow, checkpoint: narrow_dmnet, published: 78.21}
    Fps:
      cell: fps
      model: narrow
      recipe: mmseg-voc-20k
      speed: {measure: frames_per_second}
      published: 3.66
    Weights:
      cell: counted
      model: narrow
      profile: {measure: convolution_weights, per: 1048576, input_size: [64, 64]}
      published: 9
  - Kind: FCN
    mIoU: {cell: fcn, model: fcn, published: 70.0}
    Fps: "-"
    Weights: "-"
"""
FIGURE = """\
title: A figure of the tests
source: nobody
columns: [{title: DMNet, cell: hostile/ours}, {title: FCN, cell: hostile/fcn}]
images: 1
"""
OFFICIAL = """\
results:
  - table: hostile
    run: "0123456789abcdef"
    weights: "0123456789ab"
    source: http://example.org/anonymous/ABCDEF.html
    date: 2026-01-31
    values: {ours: 80.5}
"""
CLAIMS = """\
claims:
  - id: ours-wins
    says: DMNet is better
    where: {tables: [hostile]}
    predicate: {kind: pairwise, left: [hostile/ours], right: [hostile/fcn]}
"""


class _Stop(BaseException):
    """Ends a training as a kill does."""


def experiment(seeds: int = 1) -> Experiment:
    """Of the current folder; of the second seed one run was stopped and one failed."""
    return build_experiment("tiny", seeds, weights_source="both")


def make_study(root: Path) -> None:
    """Fill the empty folder `root`. The current folder is another meanwhile."""
    _write_params(root / "params")
    shutil.copytree(REPOSITORY / "profiles", root / "profiles")
    with chdir(root), _quiet():
        make_sources(root / "sources")
        _run_all()
        _record(root)


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)


def _write_params(params: Path) -> None:
    shutil.copytree(REPOSITORY / "params", params)
    for folder in ("tables", "figures"):
        shutil.rmtree(params / folder)
    for name in ("small", "smoke", "mini", "paper", "paper-1x", "paper-deep"):
        (params / f"presets/{name}.yaml").unlink()
    for name, images in (("drawn", {"train": 2, "sbd": 2, "val": 2}), ("drawn-test", {"test": 2})):
        copied = "voc2012-procedural" if name == "drawn" else "voc2012-test-procedural"
        dataset = yaml.safe_load((params / f"datasets/{copied}.yaml").read_text())
        drawn = images | ({"trainaug": 4, "trainval": 4} if name == "drawn" else {})
        dataset["counts"] = {split: drawn[split] for split in dataset["counts"]}
        dataset["generate"] |= {"images": images, "height": 32, "width": 40}
        write_text(params / f"datasets/{name}.yaml", yaml.safe_dump(dataset, sort_keys=False))
    model = yaml.safe_load((params / "models/dmnet.yaml").read_text())
    model["backbone"]["width"]["value"] = 4
    model["backbone"]["weights"]["value"] = None
    model["head"]["channels"]["value"] = 8
    write_text(params / "models/narrow.yaml", yaml.safe_dump(model))
    for name, text in (
        ("tables/hostile", TABLE),
        ("presets/tiny", PRESET),
        ("figures/figure3", FIGURE),
        ("claims", CLAIMS),
        ("official", OFFICIAL),
    ):
        write_text(params / f"{name}.yaml", text)
    _write_checkpoint(params, "0" * 8)


def _write_checkpoint(params: Path, prefix: str) -> str:
    name = f"narrow-dmnet-{prefix}.pth"
    file = {"file": name, "sha256_prefix": prefix, "source": "the tests"}
    file["urls"] = [f"https://example.org/{name}"]  # type: ignore[assignment]
    content = {CHECKPOINT: {"zoo": "mmsegmentation", "files": [file]}}
    write_text(params / "checkpoints.yaml", yaml.safe_dump(content))
    return name


def _run_all() -> None:
    found = experiment()
    datasets = [*found.datasets.values(), *(s.dataset for s in found.submissions.values())]
    for dataset in datasets:
        given = ("--dataset", _json(dataset), "--folder", f"data/{dataset.name}")
        _do(dmnet, "prepare", *given)
    stopped, failed = sorted(experiment(2).runs.keys() - found.runs.keys())
    for key in (*found.runs, stopped):
        _do(pipeline, "resolve", key, *SCALE, "--seeds", "2", "--output", f"runs/{key}/config.json")
        _train(key, 4 if key == stopped else None)
    measured = "s\th:m:s\tmax_rss\tio_in\tio_out\tmean_load\n1.5\t0:00:01\t300\t0\t1\t99\n"
    for key in found.runs:
        write_text(Path(f"benchmarks/{key}/train.tsv"), measured)
    Hints("tiny", 1, "both").write(found)
    failure = {"log": "x", "exit": 1, "error": "out of memory"}
    write_json(Path(f"logs/runs/{failed}/train.failed.json"), failure)
    _start()
    _import(found)
    _measure()
    _do(pipeline, "report", "hostile", "--complete", *SCALE)
    _do(pipeline, "figure", "figure3", *SCALE)
    predictions = found.submissions["hostile"].predictions
    _do(pipeline, "submission", "hostile", "--predictions", predictions, *SCALE)
    _do(pipeline, "summary", *SCALE)
    _do(pipeline, "page", *SCALE)


def _do(main: Callable[[list[str]], int], *arguments: str) -> None:
    if status := main([*arguments]):
        raise AssertionError(f"{' '.join(arguments)[:200]} ended with {status}")


def _train(key: str, stop_at: int | None = None) -> None:
    arguments = ("train", "--config", f"runs/{key}/config.json", "--data", "data/drawn")
    if stop_at is None:
        _do(dmnet, *arguments)
        return
    original = Trainer._step  # type: ignore[attr-defined]
    taken = 0

    def step(self: Trainer, *given: Any, **named: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken > stop_at:
            raise _Stop
        return original(self, *given, **named)

    Trainer._step = step  # type: ignore[attr-defined]
    try:
        with suppress(_Stop):
            dmnet([*arguments])
    finally:
        Trainer._step = original  # type: ignore[attr-defined]


def _start() -> None:
    for stem in ("plain", "deep"):
        backbone = ResNet(ResNetConfig.model_validate(START | {"stem": stem}))
        own = backbone.state_dict()
        if stem == "deep":
            names = translate(own, resnet.STAGES + resnet.STEMS["deep"], mmseg.NAME)
            own = {"state_dict": {theirs: own[ours] for ours, theirs in names.items()}}
        Path("weights").mkdir(exist_ok=True)
        torch.save(own, f"weights/start-{stem}.pth")


def _import(found: Experiment) -> None:
    """A checkpoint as a zoo publishes one: one of our own, in the zoo's layout."""
    cell = next(cell for cell in found.cells if cell.id == "hostile/ours")
    run = f"runs/{cell.evaluations[0].run_key}"
    _do(dmnet, "export", "--run", run, "--zoo", "mmsegmentation", "--output", "weights/x.pth")
    name = _write_checkpoint(Path("params"), sha256_file(Path("weights/x.pth"))[:8])
    Path("weights/x.pth").rename(f"weights/{name}")
    for key, release in experiment().releases.items():
        text = json.dumps(release.job.model_dump(mode="json"))
        _do(dmnet, "import", "--config", text, "--output", f"released/{key}")


def _measure() -> None:
    found = experiment()
    figure = load_figures(Path("params"), found)["figure3"]
    for evaluation in found.evaluations.values():
        run, text = f"{evaluation.folder}/{evaluation.run_key}", _json(evaluation.config)
        given = ("--run", run, "--config", text, "--data", "data/drawn")
        _do(dmnet, "evaluate", *given, "--output", evaluation.path)
        if any(column.evaluation == evaluation for column in figure.columns):
            output = f"predictions/{evaluation.run_key}/{evaluation.name}.json"
            _do(dmnet, "predict", *given, "--output", output)
    for cell in found.cells:
        for evaluation in cell.measured:
            if evaluation.folder == "released":
                run, text = f"released/{evaluation.run_key}", _json(evaluation.config)
                given = ("--run", run, "--config", text, "--data", "data/drawn")
                _do(dmnet, "evaluate", *given, "--output", evaluation.path)
    for submission in found.submissions.values():
        given = ("--run", f"runs/{submission.run_key}", "--config", _json(submission.config))
        output = ("--data", "data/drawn-test", "--output", submission.predictions)
        _do(dmnet, "predict", *given, *output)
    for profile in found.counts:
        _do(dmnet, "profile", "--config", _json(profile.config), "--output", profile.path)
    for speed in found.speeds:
        _do(dmnet, "speed", "--config", _json(speed.config), "--output", speed.path)


def _json(config: Any) -> str:
    return json.dumps(config.model_dump(mode="json"))


def _record(root: Path) -> None:
    """What DVC leaves: entries, settings, and its cache."""
    write_text(
        root / ".dvc/config", "[core]\n    remote = team\n['remote \"team\"']\n    url = r\n"
    )
    settings = {"preset": "tiny", "seeds": 1, "sources": "sources", "source": "both", "mirror": ""}
    write_json(root / "settings.json", settings | {"record": "no"})
    write_text(root / ".dvc/config.local", "[core]\n    no_scm = true\n")
    shutil.copy(REPOSITORY / "dvc.yaml", root / "dvc.yaml")
    made = ("runs/*/train.json", "released/*/train.json")
    outs = {f"{path.parent}.dvc": sorted(_own(path.parent)) for kind in made for path in _at(kind)}
    for kind in ("runs/*/evaluations/*.json", "counts/*.json", "speed/*.json"):
        outs |= {paths.entry(path.as_posix()): [path.as_posix()] for path in _at(kind)}
    for path in _at("predictions/*/*.json"):
        outs[paths.entry(path.as_posix())] = [path.as_posix(), path.with_suffix("").as_posix()]
    for entry, files in outs.items():
        lines = without_md5s(files).splitlines()
        text = [lines[0]]
        for line, file in zip(lines[1:], files, strict=True):
            text += [f"- md5: {_cached(Path(file))}", "  hash: md5", f"  {line.removeprefix('- ')}"]
        write_text(Path(entry), "\n".join(text) + "\n")


def _at(pattern: str) -> list[Path]:
    return sorted(Path().glob(pattern))


def _own(folder: Path) -> list[str]:
    names = ("config.json", "finished.json", "history.jsonl", "train.json", "weights.pt")
    return [f"{folder}/{name}" for name in names if (folder / name).exists()]


def _cached(path: Path) -> str:
    """The md5 of a file or folder, whose content (a folder's list) is put into DVC's cache."""
    digest = md5_of(path)
    if path.is_dir():
        for file in sorted(path.iterdir()):
            _cached(file)
        names = [{"md5": md5_of(file), "relpath": file.name} for file in sorted(path.iterdir())]
        content = json.dumps(names, sort_keys=True).encode()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == digest[:32]
    else:
        content = path.read_bytes()
    target = Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return digest


def outside(root: Path) -> Path:
    """A folder beside the study with files that nothing may touch."""
    folder = root.parent / "outside"
    folder.mkdir(exist_ok=True)
    for name in ("precious", "home/.bashrc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("precious\n")
    os.chmod(folder, 0o700)
    return folder
