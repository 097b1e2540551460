"""What Snakemake remembers of a rule's content: a hash that changes with what it would write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pipeline
from dmnet.config import canonical_json, content_hash
from dmnet.errors import DMNetError
from dmnet.files import sha256_bytes, sha256_file
from pipeline.claims import load_claims
from pipeline.experiments import PARAMS, Experiment
from pipeline.workflow.errors import workflow_error
from pipeline.workflow.jobs import Jobs

ESCAPES = ("shown.py", "../dmnet/text.py")
REPORTING_CODE = (
    "results.py",
    "failures.py",
    "report.py",
    *ESCAPES,
    "made_by.py",
    "trained_on.py",
    "settings.py",
    "ranking.py",
    "render.py",
    "bold.py",
    "official.py",
    "verdict.py",
    "verdict_report.py",
    "dvc_views.py",
)
SUMMARY_CODE = (
    *("conditions.py", "predicates.py", "bold.py", "claims.py", "claims_spread.py"),
    *("claims_judged.py", "claims_report.py", "verdict.py", "ranking.py", "index.py"),
    *ESCAPES,
)
FIGURE_CODE = (
    *("figures.py", "predictions.py", "figure_content.py", "figure_caption.py"),
    *("made_by.py", "trained_on.py", "figure_drawing.py"),
)
SUBMISSION_CODE = ("submission.py",)
PAGE_CODE = (
    *("page.py", "page_plots.py", "render.py", "made_by.py", "claims_report.py", *ESCAPES),
    *("templates/overview.html.j2", "templates/overview.css"),
)
CODE = Path(pipeline.__file__).parent


class Hashes:
    """Each one of 16 hexadecimal digits."""

    def __init__(self, jobs: Jobs, options: str) -> None:
        """options: the scale, as it stands in commands."""
        self._jobs, self._options = jobs, options

    def job(self, key: str) -> str:
        """Changes with the run's configuration file; the preset's name and seeds are not in it."""
        return content_hash(self._jobs.run(key).job)[:16]

    def release(self, key: str) -> str:
        """The same for a released checkpoint."""
        return content_hash(self._jobs.release(key).job)[:16]

    def dataset(self, name: str) -> str:
        return content_hash(self._jobs.dataset(name))[:16]

    def report(self, table: str) -> str:
        return report_hash(self._jobs.experiment, self._options, table)

    def submission(self, table: str) -> str:
        """Changes with what the archive is to hold, and with the code that checks and packs."""
        content = f"{self._jobs.submission(table)} {self._jobs.experiment.preset.judged}"
        return _hash(content, (CODE / name for name in SUBMISSION_CODE))

    def summary(self) -> str:
        """Changes with the claims and with the code that judges and lists them.

        A mistake in the claims is told now, before anything is trained for them.
        """
        try:
            load_claims(PARAMS, self._jobs.experiment.tables)
        except DMNetError as error:
            raise workflow_error(error) from None
        params = (PARAMS / name for name in ("claims.yaml", "verdicts.yaml"))
        return _hash("", [*(CODE / name for name in SUMMARY_CODE), *params])

    def figure(self, name: str) -> str:
        """Changes with what a figure says beside the predictions, and with the code that draws."""
        figure, preset = self._jobs.figure(name), self._jobs.experiment.preset
        content = f"{canonical_json(figure.spec)} {self._options} {content_hash(preset)}"
        content += f" {content_hash(figure.dataset)}"
        return _hash(content, (CODE / file for file in FIGURE_CODE))

    def fidelity(self) -> str:
        from pipeline.fidelity import code_hash  # not needed by most jobs, and slow to import

        return code_hash()

    def page(self) -> str:
        """Changes with the code and the template that write the page."""
        return _hash("", (CODE / name for name in PAGE_CODE))


def report_hash(experiment: Experiment, options: str, table: str) -> str:
    """Changes with what a report prints beside the results, and with the code that prints."""
    spec, preset = experiment.tables[table], experiment.preset
    settings = [cell.settings for cell in experiment.cells_of(table)]
    scale = f"{options} {content_hash(preset)}"
    official = [entry for entry in experiment.official if entry.table == table]
    content = f"{canonical_json(spec)} {scale} {settings} {official}"
    code = (CODE / name for name in REPORTING_CODE)
    return _hash(content, [*code, PARAMS / "verdicts.yaml"])


def _hash(content: str, files: Iterable[Path]) -> str:
    return sha256_bytes((content + "".join(map(sha256_file, files))).encode())[:16]
