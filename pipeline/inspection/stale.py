"""What changed since a report was written: its results, params, code or data."""

from __future__ import annotations

from pathlib import Path

from dmnet.checkout import is_package_of
from dmnet.data.manifest import Manifest
from dmnet.errors import DataError, DMNetError
from pipeline import paths
from pipeline.experiments import Experiment
from pipeline.inspection.verify.reports import differences, rebuild
from pipeline.reports.model.report import Report
from pipeline.results.files import read_if_there


def stale_lines(experiment: Experiment, root: Path = Path(".")) -> list[str]:
    """A line for each report of this preset and number of seeds that is out of date."""
    lines = []
    for table in experiment.tables:
        try:
            report = read_if_there(root / paths.report(table, "json"), Report)
            scale = (experiment.preset_name, experiment.seeds)
            if report is None or (report.preset.name, report.seeds) != scale:
                continue
            changes = changes_since(report, root)
        except DMNetError as error:
            changes = [f"cannot be compared ({error})"]
        if changes:
            lines.append(f"moved on since {paths.report(table)}: {'; '.join(changes)}")
    return lines


def changes_since(report: Report, root: Path = Path(".")) -> list[str]:
    """In words; nothing when the report is up to date. Raises DMNetError."""
    changed = list(differences(report.model_dump(mode="json"), rebuild(report, root)))
    changes = []
    if changed:
        places = {place.split(".")[0] for place, _, _ in changed}
        changes.append(f"results or params ({', '.join(sorted(places))})")
    for commit in filter(None, (code.commit for code in report.code)):
        if (same := is_package_of(commit, root)) is None:
            changes.append(f"no commit {commit[:12]}")
        elif not same:
            changes.append(f"dmnet/ is another than at {commit[:12]}")
    for dataset in report.datasets:
        try:
            now = Manifest.load(root / paths.dataset(dataset.used)).fingerprint
        except DataError:
            continue  # not here, so not another
        if dataset.fingerprint not in (None, now):
            changes.append(f"{paths.dataset(dataset.used)} is another than was measured on")
    return changes
