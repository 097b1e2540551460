"""Hashes for rules, which change with what the rule would write; Snakemake remembers them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dmnet.config import canonical_json, content_hash
from dmnet.errors import DMNetError
from dmnet.files import sha256_bytes, sha256_file
from pipeline.experiments import PARAMS
from pipeline.reports.claims.file import load_claims
from pipeline.workflow.code import code_hash
from pipeline.workflow.jobs import Jobs, workflow_error


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
        """Changes with what a report prints beside the results, and with the code that prints."""
        experiment = self._jobs.experiment
        spec, preset = experiment.tables[table], experiment.preset
        settings = [cell.settings for cell in experiment.cells_of(table)]
        scale = f"{self._options} {content_hash(preset)}"
        official = [entry for entry in experiment.official if entry.table == table]
        content = f"{canonical_json(spec)} {scale} {settings} {official}"
        return _hash(content, "report", [PARAMS / "verdicts.yaml"])

    def submission(self, table: str) -> str:
        """Changes with what the archive is to hold, and with the code that checks and packs."""
        content = f"{self._jobs.submission(table)} {self._jobs.experiment.preset.judged}"
        return _hash(content, "submission")

    def summary(self) -> str:
        """Changes with the claims and with the code that judges and lists them.

        A mistake in the claims is told now, before anything is trained for them.
        """
        try:
            load_claims(PARAMS, self._jobs.experiment.tables)
        except DMNetError as error:
            raise workflow_error(error) from None
        params = [PARAMS / name for name in ("claims.yaml", "verdicts.yaml")]
        return _hash("", "summary", params)

    def figure(self, name: str) -> str:
        """Changes with what a figure says beside the predictions, and with the code that draws."""
        figure, preset = self._jobs.figure(name), self._jobs.experiment.preset
        content = f"{canonical_json(figure.spec)} {self._options} {content_hash(preset)}"
        content += f" {content_hash(figure.dataset)}"
        return _hash(content, "figure")

    def fidelity(self) -> str:
        from pipeline.reports.fidelity import compared_hash  # for one job, and slow to import

        return compared_hash()

    def page(self) -> str:
        """Changes with the code and the template that write the page."""
        return _hash("", "page")


def _hash(content: str, command: str, files: Iterable[Path] = ()) -> str:
    """command: of `python -m pipeline`, which writes it."""
    parts = [content, code_hash(f"pipeline.commands.{command}"), *map(sha256_file, files)]
    return sha256_bytes("".join(parts).encode())[:16]
