"""Which datasets an experiment uses, whether they are prepared and whole, and what to do next.

    data/<name>/manifest.json     the prepared dataset (dmnet.data.manifest)
    <sources>/<archive>           what a user downloaded, by the name in params/datasets
    <sources>/<name>/             the same for a dataset that is used where it lies (CamVid)

Nothing is written, and no torch is imported.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from dmnet.config import DatasetConfig
from dmnet.data.camvid import lists_of
from dmnet.data.manifest import MANIFEST, Manifest, verify
from dmnet.errors import DataError
from dmnet.files import user_path
from pipeline import paths
from pipeline.experiments import Cell, Experiment, Submission

SOURCES = Path(paths.SOURCES)
PREPARED, DAMAGED, NOT_PREPARED = "prepared", "damaged", "not prepared"
STATES = (PREPARED, DAMAGED, NOT_PREPARED)
SHOWN_PROBLEMS = 5
FINGERPRINT_DIGITS = 12
IN_PLACE = ("camvid",)  # layouts that are read where the user's folder lies
LOGIN = {
    "cityscapes": "which needs a login (register at https://www.cityscapes-dataset.com)",
    "voc2012_test": "which needs a login (register at http://host.robots.ox.ac.uk:8080)",
}


@dataclass(frozen=True)
class UserFile:
    """A file or folder that a user obtains; `path` is relative to the folder of the sources."""

    path: str
    url: str | None
    present: bool


@dataclass(frozen=True)
class DatasetStatus:
    """One dataset as it is on disk. `problems` are one line each; empty unless damaged."""

    config: DatasetConfig
    stands_for: tuple[str, ...]  # published datasets whose place it takes
    state: str  # prepared, damaged or not prepared
    problems: tuple[str, ...]
    splits: dict[str, int]  # images per split, where known
    fingerprint: str | None
    sources: tuple[UserFile, ...]
    next_step: str
    only_for: str  # what asks for it, where no report does

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def missing(self) -> tuple[UserFile, ...]:
        return tuple(source for source in self.sources if not source.present)


def data_status(
    experiment: Experiment, sources: Path, root: Path, check: bool = False
) -> list[DatasetStatus]:
    """Every dataset of the experiment, in order of first use.

    A relative `sources` is relative to `root`. With `check` every sample is hashed, which takes
    minutes for a large dataset. Raises nothing: what is wrong is in `problems`.
    """
    return [
        _status(experiment, config, sources, root, check) for config in experiment.datasets.values()
    ]


def _status(
    experiment: Experiment, config: DatasetConfig, sources: Path, root: Path, check: bool
) -> DatasetStatus:
    files = tuple(_sources(config, root / user_path(str(sources))))
    manifest, problems = _inspect(config, root, check)
    state, step = PREPARED, "nothing"
    if problems or manifest is None:
        state = DAMAGED if problems else NOT_PREPARED
        missing = [source for source in files if not source.present]
        step = _next_step(experiment, config, missing, sources, manifest, bool(problems))
    tables = [s.table for s in experiment.submissions.values() if s.dataset.name == config.name]
    return DatasetStatus(
        config=config,
        stands_for=_stands_for(experiment, config.name),
        state=state,
        problems=tuple(problems),
        splits=dict(manifest.splits) if manifest else {},
        fingerprint=manifest.fingerprint if manifest else None,
        sources=files,
        next_step=step,
        only_for=f"needed for the submission of {', '.join(tables)} only" if tables else "",
    )


def _inspect(config: DatasetConfig, root: Path, check: bool) -> tuple[Manifest | None, list[str]]:
    """(manifest, problems); neither where the dataset is not prepared."""
    folder = root / "data" / config.name
    if not os.path.lexists(folder / MANIFEST):
        return None, []
    try:
        manifest = Manifest.load(folder)
        manifest.require(config)
        problems = _wrong_counts(config, manifest)
        if check:
            problems += verify(folder)
    except DataError as error:
        return None, [_relative(str(error), root)]
    return manifest, [_relative(problem, root) for problem in problems]


def _wrong_counts(config: DatasetConfig, manifest: Manifest) -> list[str]:
    """Splits that were prepared from another configuration than today's."""
    path = f"{manifest.folder / MANIFEST}"
    problems = []
    for split in dict.fromkeys([*config.splits.values(), *config.counts]):
        images = manifest.splits.get(split)
        expected = config.counts.get(split, images)
        if images is None:
            problems.append(f"{path}: has no split `{split}`, which {config.name} now asks for")
        elif images != expected:
            problems.append(f"{path}: split `{split}` has {images} images, expected {expected}")
    return problems


def _sources(config: DatasetConfig, folder: Path) -> list[UserFile]:
    """What a user must obtain; nothing for a stand-in, which is drawn."""
    if config.generate is not None:
        return []
    if config.layout not in IN_PLACE:
        return [
            UserFile(archive.file, archive.url, (folder / archive.file).is_file())
            for archive in config.archives
        ]
    if not (folder / config.name).is_dir():
        return [UserFile(f"{config.name}/", None, False)]
    lists = [f"{config.name}/{split}.txt" for split in lists_of(config)]
    return [UserFile(path, None, (folder / path).is_file()) for path in lists]


def _stands_for(experiment: Experiment, name: str) -> tuple[str, ...]:
    asking: list[Cell | Submission] = [*experiment.cells, *experiment.submissions.values()]
    published = [a.published_dataset for a in asking if a.dataset and a.dataset.name == name]
    return tuple(dict.fromkeys(other for other in published if other and other != name))


def _next_step(
    experiment: Experiment,
    config: DatasetConfig,
    missing: list[UserFile],
    sources: Path,
    manifest: Manifest | None,
    damaged: bool,
) -> str:
    command = f"snakemake --cores all {paths.data_manifest(config.name)}"
    command += f" --config preset={shlex.quote(experiment.preset_name)}"
    if config.generate is None and sources != SOURCES:
        command += f" sources={shlex.quote(str(sources))}"
    step = f"run `{command}`"
    if damaged:
        step = f"delete {paths.dataset(config.name)} and prepare it again: `{command}`"
    if missing:
        return f"{_obtain(config, missing, sources)}, then {step}"
    if manifest is not None and not manifest.root.is_relative_to(os.path.abspath(manifest.folder)):
        # Preparing anew would only hash what is there now: a damaged file would count as right.
        return f"put the original files back; only if the change was meant, {step}"
    return step


def _obtain(config: DatasetConfig, missing: list[UserFile], sources: Path) -> str:
    if config.layout in IN_PLACE:
        names = ", ".join(source.path for source in missing)
        return f"put {names} into {sources}, or name its parent folder with `sources`"
    login = f", {LOGIN[config.layout]}," if config.layout in LOGIN else ""
    # Cityscapes' addresses end in a number, so the file's name is said as well.
    names = " and ".join(
        source.url
        if source.url and source.url.endswith(f"/{source.path}")
        else f"{source.path} from {source.url}"
        for source in missing
    )
    return f"download {names}{login} into {sources}"


def render_data(
    experiment: Experiment,
    sources: Path = SOURCES,
    root: Path = Path("."),
    check: bool = False,
) -> str:
    """One row per dataset, then what is wrong with each and what to do next."""
    statuses = data_status(experiment, sources, root, check)
    if not statuses:
        return f"Preset {experiment.preset_name}: no dataset is needed; every cell is profiled"
    counts = {state: sum(s.state == state for s in statuses) for state in STATES}
    depth = "every file hashed" if check else "files not hashed; --check does that"
    headers = ["state", "dataset", "in place of", "images", "fingerprint", "sources"]
    rows = [_row(status) for status in statuses]
    return "\n".join(
        [
            f"Preset {experiment.preset_name}, sources {sources}: "
            + ", ".join(f"{count} {state}" for state, count in counts.items())
            + f" ({depth})",
            "",
            tabulate(rows, headers, tablefmt="simple", disable_numparse=True),
            *(line for status in statuses for line in _details(status)),
        ]
    )


def _row(status: DatasetStatus) -> list[str]:
    sources = "present" if status.sources else "not stated"
    if status.config.generate is not None:
        sources = "none needed (drawn)"
    elif status.missing:
        sources = "missing: " + ", ".join(source.path for source in status.missing)
    return [
        status.state,
        status.name,
        ", ".join(status.stands_for),
        ", ".join(f"{split} {images}" for split, images in sorted(status.splits.items())),
        (status.fingerprint or "")[:FINGERPRINT_DIGITS],
        sources,
    ]


def _details(status: DatasetStatus) -> list[str]:
    if status.state == PREPARED:
        return []
    purpose = f" ({status.only_for})" if status.only_for else ""
    lines = ["", f"{status.name}: {status.state}{purpose}"]
    lines += [f"  {problem}" for problem in status.problems[:SHOWN_PROBLEMS]]
    if len(status.problems) > SHOWN_PROBLEMS:
        rest = len(status.problems) - SHOWN_PROBLEMS
        lines.append(f"  and {rest} more; {len(status.problems)} problems in all")
    return [*lines, f"  next: {status.next_step}"]


def _relative(text: str, root: Path) -> str:
    """Without the path of `root`, so that the same state reads the same in every clone."""
    for prefix in (os.path.abspath(root), str(root)):
        if prefix not in ("/", "."):
            text = text.replace(f"{prefix}/", "")
    return text
