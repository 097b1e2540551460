"""What the Snakefile asks: the experiment of this invocation, as strings that rules can use."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, TypeVar

from dmnet.config import canonical_json, content_hash
from dmnet.errors import DMNetError
from dmnet.files import sha256_bytes, sha256_file
from pipeline import shared_inputs
from pipeline.errors import PipelineError, SpecError
from pipeline.experiments import (
    PARAMS,
    Evaluation,
    Experiment,
    Release,
    Run,
    Submission,
    build_experiment,
    find_submission,
)
from pipeline.figures import Figure, figure_names, load_figures
from pipeline.one_cell import Hints
from pipeline.requests import Requests
from pipeline.shared_inputs import Ancient
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
Found = TypeVar("Found")
DEFAULTS: dict[str, Any] = {
    "preset": "mini",
    "seeds": 1,
    "sources": "data/sources",
    "source": "trained",
    "mirror": "",
}


class Workflow:
    """Reads Snakemake's `config`; every method is cheap, as every cluster job parses anew."""

    def __init__(self, config: Mapping[str, Any], in_job: bool = False) -> None:
        """in_job: another Snakemake has read everything, and handed out this one job."""
        self._params = Params(PARAMS)
        try:
            check_writable()
            for key in config:
                if key not in DEFAULTS:
                    raise SpecError(
                        f"--config {key}=...: unknown key; expected one of {', '.join(DEFAULTS)}"
                    )
            self.sources = str(config.get("sources", DEFAULTS["sources"]))
            self.mirror = str(config.get("mirror", DEFAULTS["mirror"]))
            self.seeds = config.get("seeds", DEFAULTS["seeds"])
            self.source = str(config.get("source", DEFAULTS["source"]))
            self.preset_name = str(config.get("preset", DEFAULTS["preset"]))
            self.preset = self._params.preset(self.preset_name)
            self.requests = Requests.read(self._params.costs(), self.gpus > 0)
            self.hints = Hints(self.preset_name, self.seeds, self.source)
            self.in_job = in_job
            if not in_job:
                rules = load_rules(PARAMS)
                if self.preset.judged:
                    rules.check(self.experiment)
                self._figures  # noqa: B018  (read now, so that a mistake is told now)
        except DMNetError as error:
            raise workflow_error(error) from None

    @cached_property
    def experiment(self) -> Experiment:
        return build_experiment(
            self.preset_name, self.seeds, params=self._params, source=self.source
        )

    def _find(self, pick: Callable[[Experiment], Found | None], *outputs: str) -> Found | None:
        """`pick` of the experiment; in a job, of as much of it as leads to one of `outputs`."""
        for output in outputs if self.in_job else ():
            part = self.hints.experiment(output, self._params)
            if part is not None and (found := pick(part)) is not None:
                return found
        return pick(self.experiment)

    @cached_property
    def _figures(self) -> dict[str, Figure]:
        return load_figures(PARAMS, self.experiment)

    @property
    def tables(self) -> list[str]:
        return list(self._params.table_names)

    @property
    def figures(self) -> list[str]:
        return figure_names(PARAMS, self.source)

    @property
    def options(self) -> str:
        scale = f"--preset {shlex.quote(self.preset_name)}"
        source = "" if self.source == "trained" else f" --source {self.source}"
        return f"{scale} --seeds {self.seeds}{source}"

    @property
    def repeat(self) -> str:
        """The settings that make the same again; where the datasets lie is each user's own."""
        source = "" if self.source == "trained" else f" source={self.source}"
        return f"--config preset={self.preset_name} seeds={self.seeds} sources=DIR{source}"

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
        return self.preset.cpu_threads

    @property
    def gpus(self) -> int:
        return self.preset.gpus

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
        return self.preset.execution.nodes

    @property
    def _processes_on_a_node(self) -> int:
        return self.preset.execution.processes // self.nodes

    def training_minutes(self, key: str, attempt: int) -> int:
        return self.requests.training_minutes(self._run(key).job.run, attempt)

    def evaluation_minutes(self, key: str, attempt: int) -> int:
        return self.requests.evaluation_minutes(self._run(key).job.run, attempt)

    def memory_mb(self, attempt: int) -> int:
        return self.requests.memory_mb(self.preset.execution, attempt)

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
        dataset = self._find(lambda study: study.datasets.get(name), f"data/{name}")
        return "-" if dataset is not None and dataset.generate else self.sources

    def parent(self, key: str, ancient: Ancient) -> Any:
        """The finished run that this one starts from, if any."""
        path = self._parent(key)
        if not self._settled(key):
            return path or []
        return ancient(path) if path and Path(path).exists() else []

    def _parent(self, key: str) -> str | None:
        parent = self._run(key).job.run.parent
        return f"runs/{parent}/train.json" if parent else None

    def profile_json(self, key: str) -> str:
        profile = self._find(lambda study: study.profiles.get(key), f"counts/{key}.json")
        if profile is None:
            raise workflow_error(SpecError(f"counts/{key}.json: no table asks for this profile"))
        return profile.config.model_dump_json()

    def speed_json(self, key: str) -> str:
        speed = self._find(lambda study: study.speeds.get(key), f"speed/{key}.json")
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

    def data_of(self, key: str, ancient: Ancient) -> Any:
        """The data that the run is trained on, by what is in them."""
        made_with, settled = f"runs/{key}/train.json", self._settled(key)
        return shared_inputs.data_of(made_with, self.manifest(key), settled, ancient)

    def evaluation_data(self, key: str, name: str, ancient: Ancient, kind: str = "runs") -> Any:
        """The same for an evaluation; kind: or `released`."""
        manifest = self.manifest(key) if kind == "runs" else self.release_manifest(key)
        output = f"{kind}/{key}/evaluations/{name}.json"
        settled = self._is_of_its_run(output, kind)
        return shared_inputs.data_of(output, manifest, settled, ancient)

    def weights_of(self, output: str, ancient: Ancient, kind: str = "runs") -> Any:
        """The manifest of the run, in whose folder of `kind` the weights are that `output` uses."""
        path = f"{kind}/{output.split('/')[1]}/train.json"
        return ancient(path) if self._is_of_its_run(output, kind) else path

    @staticmethod
    def _is_of_its_run(output: str, kind: str = "runs") -> bool:
        trained = f"{kind}/{output.split('/')[1]}/train.json"
        return shared_inputs.is_settled(output, "weights_sha256", trained)

    def _settled(self, key: str) -> bool:
        """Whether a run from elsewhere needs no training whatever its inputs' times."""
        parent = self._parent(key)
        there = parent if parent and Path(parent).exists() else None
        return shared_inputs.is_settled(f"runs/{key}/train.json", "start_weights", there)

    def evaluation_json(self, key: str, name: str) -> str:
        evaluation = self._evaluation(key, name)
        if evaluation is None:
            raise workflow_error(SpecError(f"runs/{key}: no table asks for evaluation {name!r}"))
        return canonical_json(evaluation.config)

    def _evaluation(self, key: str, name: str) -> Evaluation | None:
        path = f"{key}/evaluations/{name}.json"
        return self._find(
            lambda study: study.evaluations.get((key, name)), f"runs/{path}", f"released/{path}"
        )

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

    def prediction_data(self, key: str, name: str, ancient: Ancient) -> Any:
        """As `data_of`: other data count, newer ones do not."""
        manifest = f"data/{self._prediction(key, name).config.data.name}/manifest.json"
        output = f"predictions/{key}/{name}.json"
        return shared_inputs.data_of(output, manifest, self._is_of_its_run(output), ancient)

    def _prediction(self, key: str, name: str) -> Evaluation | Submission:
        """What `predictions/<key>/<name>.json` is made by: a cell's protocol, or a submission."""
        if (evaluation := self._evaluation(key, name)) is not None:
            return evaluation
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
        if name not in self._figures:
            expected = ", ".join(self._figures) or "none (params/figures is empty)"
            raise workflow_error(
                SpecError(f"reports/{name}.png: unknown figure; expected one of {expected}")
            )
        return self._figures[name]

    def figure_hash(self, name: str) -> str:
        """Changes with what a figure says beside the predictions, and with the code that draws."""
        figure, preset = self.figure(name), self.experiment.preset
        content = f"{canonical_json(figure.spec)} {self.options} {content_hash(preset)}"
        content += f" {content_hash(figure.dataset)}"
        folder = Path(__file__).parent
        code = [sha256_file(folder / file) for file in FIGURE_CODE]
        return sha256_bytes((content + "".join(code)).encode())[:16]

    def fidelity_hash(self) -> str:
        from pipeline.fidelity import code_hash  # not needed by most jobs, and slow to import

        return code_hash()

    def page_hash(self) -> str:
        """Changes with the code and the template that write the page."""
        folder = Path(__file__).parent
        return sha256_bytes("".join(sha256_file(folder / name) for name in PAGE_CODE).encode())[:16]

    def _run(self, key: str) -> Run:
        run = self._find(lambda study: study.runs.get(key), f"runs/{key}/train.json")
        if run is None:
            raise workflow_error(
                SpecError(
                    f"runs/{key}: no table has this run at preset "
                    f"{self.experiment.preset_name!r} with {self.experiment.seeds} seed(s)"
                )
            )
        return run

    def _release(self, key: str) -> Release:
        release = self._find(lambda study: study.releases.get(key), f"released/{key}/train.json")
        if release is None:
            raise workflow_error(
                SpecError(
                    f"released/{key}: no table has this checkpoint at preset "
                    f"{self.experiment.preset_name!r}; add --config source=released"
                )
            )
        return release

    def begin(self) -> None:
        """Before the first job: hold the tree; write down which cell leads to which output."""
        self.hold_tree()
        # A job that SLURM queues again adds to its log instead of beginning it anew.
        os.environ.setdefault("SBATCH_OPEN_MODE", "append")
        if os.environ.get("DMNET_STEPS") == "srun":
            os.environ["DMNET_STEP"] = self._step()
        try:
            self.hints.write(self.experiment)
        except OSError as error:
            print(f"warning: {self.hints.path}: {error}; jobs will start more slowly")

    def _step(self) -> str:
        """How a job of an allocation that many share becomes a job step (profiles/allocation)."""
        if self.preset.execution.processes > 1:
            raise workflow_error(
                PipelineError(
                    f"preset {self.preset_name!r}: trains in {self.preset.execution.processes} "
                    "processes, which an allocation for many short runs does not pack; use "
                    "--profile profiles/slurm, or execution.processes: 1"
                )
            )
        gpus = f"--gpus={self.gpus}" if self.gpus else "--gres=none"
        return f"srun --exact --nodes=1 --ntasks=1 --mem={self.memory_mb(1)} {gpus}"

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
