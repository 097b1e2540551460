"""What the Snakefile asks: the experiment of this invocation, as strings that rules can use."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from dmnet.config import canonical_json, content_hash
from dmnet.errors import DMNetError
from dmnet.files import sha256_bytes, sha256_file
from pipeline.dvc_entries import was_pulled
from pipeline.errors import PipelineError, SpecError
from pipeline.experiments import (
    PARAMS,
    Evaluation,
    Experiment,
    Release,
    Submission,
    build_experiment,
    find_submission,
)
from pipeline.fidelity import code_hash
from pipeline.figures import Figure, load_figures
from pipeline.requests import Requests
from pipeline.specs import Params
from pipeline.verdict import load_rules

REPORTING_CODE = (
    "results.py",
    "failures.py",
    "report.py",
    "ranking.py",
    "render.py",
    "official.py",
    "verdict.py",
    "verdict_report.py",
    "dvc_views.py",
)
# The folders that the rules write to.
WRITTEN = (
    *("runs", "released", "reports", "data", "counts", "speed", "predictions", "logs"),
    "benchmarks",
)
SUMMARY_CODE = ("predicates.py", "claims.py", "claims_report.py", "ranking.py", "index.py")
FIGURE_CODE = (
    *("figures.py", "predictions.py", "figure_content.py", "figure_caption.py"),
    "figure_drawing.py",
)
SUBMISSION_CODE = ("submission.py",)
PAGE_CODE = (
    *("page.py", "page_plots.py", "render.py"),
    *("templates/overview.html.j2", "templates/overview.css"),
)
DEFAULTS: dict[str, Any] = {
    "preset": "mini",
    "seeds": 1,
    "sources": "data/sources",
    "source": "trained",
    "mirror": "",
}


class Workflow:
    """Reads Snakemake's `config`; every method is cheap, as every cluster job parses anew."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        try:
            check_writable()
            for key in config:
                if key not in DEFAULTS:
                    raise SpecError(
                        f"--config {key}=...: unknown key; expected one of {', '.join(DEFAULTS)}"
                    )
            self.sources = str(config.get("sources", DEFAULTS["sources"]))
            self.mirror = str(config.get("mirror", DEFAULTS["mirror"]))
            self.experiment: Experiment = build_experiment(
                config.get("preset", DEFAULTS["preset"]),
                config.get("seeds", DEFAULTS["seeds"]),
                source=str(config.get("source", DEFAULTS["source"])),
            )
            rules = load_rules(PARAMS)
            if self.experiment.preset.judged:
                rules.check(self.experiment)
            self.requests = Requests.read(Params(PARAMS).costs(), self.gpus > 0)
            self.figures: dict[str, Figure] = load_figures(PARAMS, self.experiment)
        except DMNetError as error:
            raise workflow_error(error) from None

    @property
    def tables(self) -> list[str]:
        return list(self.experiment.tables)

    @property
    def options(self) -> str:
        scale = f"--preset {shlex.quote(self.experiment.preset_name)}"
        source = (
            "" if self.experiment.source == "trained" else f" --source {self.experiment.source}"
        )
        return f"{scale} --seeds {self.experiment.seeds}{source}"

    @property
    def repeat(self) -> str:
        """The settings that make the same again; where the datasets lie is each user's own."""
        study = self.experiment
        source = "" if study.source == "trained" else f" source={study.source}"
        return f"--config preset={study.preset_name} seeds={study.seeds} sources=DIR{source}"

    @property
    def from_mirror(self) -> str:
        """Where released checkpoints are copied from, if not downloaded."""
        return f"--mirror {shlex.quote(self.mirror)}" if self.mirror else ""

    @property
    def python(self) -> str:
        """This interpreter: a rule must not depend on what `python` means in the user's shell."""
        return shlex.quote(sys.executable)

    @property
    def attempt(self) -> str:
        """What jobs run in, so that a failed one leaves a mark; LOG COMMAND follow."""
        return f"{self.python} -m pipeline.attempt"

    @property
    def cpu_threads(self) -> int:
        return self.experiment.preset.cpu_threads

    @property
    def gpus(self) -> int:
        return self.experiment.preset.gpus

    @property
    def training_threads(self) -> int:
        """Of all processes of a training on one node."""
        return self.cpu_threads * self._processes_on_a_node

    @property
    def training_gpus(self) -> int:
        """One for each of a training's processes; evaluations have `gpus`."""
        return self.gpus and self._processes_on_a_node * self.nodes

    @property
    def nodes(self) -> int:
        return self.experiment.preset.execution.nodes

    @property
    def _processes_on_a_node(self) -> int:
        return self.experiment.preset.execution.processes // self.nodes

    def training_minutes(self, key: str, attempt: int) -> int:
        return self.requests.training_minutes(self._run(key).job.run, attempt)

    def evaluation_minutes(self, key: str, attempt: int) -> int:
        return self.requests.evaluation_minutes(self._run(key).job.run, attempt)

    def memory_mb(self, attempt: int) -> int:
        return self.requests.memory_mb(self.experiment.preset.execution, attempt)

    def job_hash(self, key: str) -> str:
        """Changes with the run's configuration file; the preset's name and seeds are not in it."""
        return content_hash(self._run(key).job)[:16]

    def release_hash(self, key: str) -> str:
        """The same for a released checkpoint."""
        return content_hash(self._release(key).job)[:16]

    def release_manifest(self, key: str) -> str:
        return f"data/{self._release(key).job.dataset.name}/manifest.json"

    def checkpoint_of(self, key: str) -> str:
        return self._release(key).job.run.checkpoint.name

    def dataset_hash(self, name: str) -> str:
        if name not in self.experiment.datasets:
            raise workflow_error(
                SpecError(
                    f"data/{name}: preset {self.experiment.preset_name!r} does not use this "
                    f"dataset; expected one of {', '.join(self.experiment.datasets)}"
                )
            )
        return content_hash(self.experiment.datasets[name])[:16]

    def sources_of(self, name: str) -> str:
        """A drawn dataset has no sources, so moving them must not make Snakemake draw it again."""
        dataset = self.experiment.datasets.get(name)
        return "-" if dataset is not None and dataset.generate else self.sources

    def parent(self, key: str) -> list[str]:
        """The finished run that this one starts from, if any."""
        parent = self._run(key).job.run.parent
        return [f"runs/{parent}/train.json"] if parent else []

    def profile_json(self, key: str) -> str:
        profile = self.experiment.profiles.get(key)
        if profile is None:
            raise workflow_error(SpecError(f"counts/{key}.json: no table asks for this profile"))
        return profile.config.model_dump_json()

    def speed_json(self, key: str) -> str:
        speed = self.experiment.speeds.get(key)
        if speed is None:
            raise workflow_error(SpecError(f"speed/{key}.json: no table asks for this measurement"))
        return canonical_json(speed.config)

    def all_cores(self, snakemake: Any) -> int:
        """What a measurement of time asks for, so that no other job runs beside it.

        Where Snakemake hands jobs to a cluster it has no cores of its own, and a job is alone
        within what the cluster allots it.
        """
        from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped,unused-ignore]

        try:
            return int(snakemake.cores)
        except WorkflowError:
            return self.cpu_threads

    def manifest(self, key: str) -> str:
        run = self._run(key)
        return f"data/{run.job.dataset.name}/manifest.json"

    def data_of(
        self, key: str, output: str, ancient: Callable[[str], Any], kind: str = "runs"
    ) -> Any:
        """The run's data, which make it out of date when they are others, not when they are newer.

        A run that came from a colleague is older than the data that are prepared here later, and
        needs none while its `output` (without `.json`) is there. ancient: Snakemake's flag for an
        input whose time does not count; it does so only for one that exists. kind: or `released`.
        """
        path = self.manifest(key) if kind == "runs" else self.release_manifest(key)
        folder = Path(kind) / key
        try:
            used = json.loads((folder / "train.json").read_text())["data_fingerprint"]
            if not Path(path).exists():
                there = (folder / f"{output}.json").exists()
                return [] if was_pulled(f"{kind}/{key}") and there else path
            same = json.loads(Path(path).read_text())["fingerprint"] == used
        except (OSError, ValueError, KeyError, TypeError):
            return path  # not trained, or not readable: then times decide
        return ancient(path) if same else path

    def evaluation_json(self, key: str, name: str) -> str:
        evaluation = self.experiment.evaluations.get((key, name))
        if evaluation is None:
            raise workflow_error(SpecError(f"runs/{key}: no table asks for evaluation {name!r}"))
        return canonical_json(evaluation.config)

    def results_of(self, table: str) -> list[str]:
        if table not in self.experiment.tables:
            raise workflow_error(
                SpecError(
                    f"reports/{table}.md: unknown table; expected one of {', '.join(self.tables)}"
                )
            )
        cells = self.experiment.cells_of(table)
        return list(dict.fromkeys(path for cell in cells for path in cell.inputs))

    def report_hash(self, table: str) -> str:
        """Changes with what a report prints beside the results, and with the code that prints."""
        spec, preset = self.experiment.tables[table], self.experiment.preset
        settings = [cell.settings for cell in self.experiment.cells_of(table)]
        scale = f"{self.options} {content_hash(preset)}"
        official = [entry for entry in self.experiment.official if entry.table == table]
        content = f"{canonical_json(spec)} {scale} {settings} {official}".encode()
        folder = Path(__file__).parent
        code = [sha256_file(folder / name) for name in REPORTING_CODE]
        code.append(sha256_file(PARAMS / "verdicts.yaml"))
        return sha256_bytes(content + "".join(code).encode())[:16]

    def submission(self, table: str) -> Submission:
        try:
            return find_submission(self.experiment, table)
        except SpecError as error:
            raise workflow_error(error) from None

    def submission_hash(self, table: str) -> str:
        """Changes with what the archive is to hold, and with the code that checks and packs."""
        submission, folder = self.submission(table), Path(__file__).parent
        content = f"{submission} {self.experiment.preset.judged}"
        code = [sha256_file(folder / name) for name in SUBMISSION_CODE]
        return sha256_bytes((content + "".join(code)).encode())[:16]

    def prediction_json(self, key: str, name: str) -> str:
        return canonical_json(self._prediction(key, name).config)

    def prediction_data(self, key: str, name: str, ancient: Callable[[str], Any]) -> Any:
        """As `data_of`: other data count, newer ones do not."""
        path = f"data/{self._prediction(key, name).config.data.name}/manifest.json"
        try:
            used = json.loads(Path(f"predictions/{key}/{name}.json").read_text())
            same = json.loads(Path(path).read_text())["fingerprint"] == used["data_fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return path
        return ancient(path) if same else path

    def _prediction(self, key: str, name: str) -> Evaluation | Submission:
        """What `predictions/<key>/<name>.json` is made by: a cell's protocol, or a submission."""
        if (key, name) in self.experiment.evaluations:
            return self.experiment.evaluations[key, name]
        for submission in self.experiment.submissions.values():
            if (submission.run_key, submission.name) == (key, name):
                return submission
        raise workflow_error(
            SpecError(f"predictions/{key}/{name}.json: no cell and no submission is measured so")
        )

    def cells_of(self, key: str) -> str:
        return ", ".join(self._run(key).cells)

    def summary_hash(self) -> str:
        """Changes with the claims and with the code that judges and lists them."""
        folder = Path(__file__).parent
        files = [folder / name for name in SUMMARY_CODE] + [PARAMS / "claims.yaml"]
        return sha256_bytes("".join(map(sha256_file, files)).encode())[:16]

    def figure(self, name: str) -> Figure:
        if name not in self.figures:
            expected = ", ".join(self.figures) or "none (params/figures is empty)"
            raise workflow_error(
                SpecError(f"reports/{name}.png: unknown figure; expected one of {expected}")
            )
        return self.figures[name]

    def figure_hash(self, name: str) -> str:
        """Changes with what a figure says beside the predictions, and with the code that draws."""
        figure, preset = self.figure(name), self.experiment.preset
        content = f"{canonical_json(figure.spec)} {self.options} {content_hash(preset)}"
        content += f" {content_hash(figure.dataset)}"
        folder = Path(__file__).parent
        code = [sha256_file(folder / file) for file in FIGURE_CODE]
        return sha256_bytes((content + "".join(code)).encode())[:16]

    def fidelity_hash(self) -> str:
        return code_hash()

    def page_hash(self) -> str:
        """Changes with the code and the template that write the page."""
        folder = Path(__file__).parent
        return sha256_bytes("".join(sha256_file(folder / name) for name in PAGE_CODE).encode())[:16]

    def _run(self, key: str) -> Any:
        if key not in self.experiment.runs:
            raise workflow_error(
                SpecError(
                    f"runs/{key}: no table has this run at preset "
                    f"{self.experiment.preset_name!r} with {self.experiment.seeds} seed(s)"
                )
            )
        return self.experiment.runs[key]

    def _release(self, key: str) -> Release:
        if key not in self.experiment.releases:
            raise workflow_error(
                SpecError(
                    f"released/{key}: no table has this checkpoint at preset "
                    f"{self.experiment.preset_name!r}; add --config source=released"
                )
            )
        return self.experiment.releases[key]

    def hold_tree(self) -> None:
        """Be the only Snakemake on this tree, by a lock that dies with the process.

        Snakemake's own lock survives `kill -9` and then needs --unlock, so the default profile
        turns it off in favour of this one.
        """
        path = Path(".snakemake") / "dmnet.lock"
        path.parent.mkdir(exist_ok=True)
        self._tree: TextIO = path.open("a+")
        try:
            fcntl.flock(self._tree, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._tree.seek(0)
            holder = self._tree.read().strip() or "another Snakemake"
            raise workflow_error(
                PipelineError(
                    f"{Path.cwd()}: {holder} is at work here; wait for it, or use a second clone"
                )
            ) from None
        self._tree.truncate(0)
        self._tree.write(f"process {os.getpid()}")
        self._tree.flush()


def check_writable() -> None:
    """Raises PipelineError unless every folder the rules write to is one, or can be made."""
    for name in WRITTEN:
        path = Path(name).absolute()
        folder = path if path.exists() else path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise PipelineError(
                f"{path}: results cannot be written here; make it a writable folder (or remove it)"
            )


def workflow_error(error: DMNetError) -> Exception:
    """Snakemake prints a WorkflowError as one line, any other exception with its traceback."""
    from snakemake.exceptions import WorkflowError  # type: ignore[import-untyped,unused-ignore]

    return WorkflowError(str(error))
