"""Builds each report again from the results and params that lie here, and compares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmnet.errors import DMNetError
from dmnet.files import MAX_BYTES, parse_json, read_bounded, to_json
from pipeline import paths
from pipeline.errors import ResultError
from pipeline.experiments import PARAMS, Experiment, build_experiment
from pipeline.inspection.verify.findings import Findings
from pipeline.reports.build import build_report
from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.dvc_views import curves_of, metrics_of, points_of
from pipeline.reports.markdown.claims import render_claims
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.base import json_of
from pipeline.reports.model.claims import Claims
from pipeline.reports.model.figure import FigureReport
from pipeline.reports.model.report import Report
from pipeline.reports.model.submission import Archive
from pipeline.reports.verdict import load_rules
from pipeline.results.files import checked

NAMED = 5  # differences of one report that are told; the others are counted


def verify_reports(findings: Findings) -> None:
    """All tables of `reports/`, the claims, the figures' predictions, the archives to be sent."""
    tables: dict[str, Report] = {}
    for file in sorted((findings.root / paths.REPORTS).glob("*.json")):
        path = paths.report(file.stem, "json")
        if file.stem in ("claims", "fidelity"):
            continue  # lists; the claims follow below
        content = findings.json(path, f"delete it and run `snakemake {path}`")
        if content is None:
            continue
        try:
            if "rows" in content and "table" in content:
                report = checked(content, Report)
                tables[report.table] = report
                _verify_table(findings, path, report, content)
            elif "figure" in content:
                _verify_figure(findings, path, checked(content, FigureReport))
            elif "archive" in content:
                _verify_archive(findings, path, checked(content, Archive))
        except ResultError as error:
            found = f"{error}; delete the file and run again"
            findings.add(path, "a report of this version", found, f"`snakemake {path}`")
    _verify_claims(findings, tables)


def experiment_of_report(report: Report) -> Experiment:
    """The report's table as params have it now. Raises DMNetError where they no longer do."""
    measured = any(cell.released for cell in report.cells)
    trained = any(cell.runs for cell in report.cells)
    weights_source = "trained" if not measured else "both" if trained else "released"
    return build_experiment(
        report.preset.name, report.seeds, [report.table], weights_source=weights_source
    )


def rebuild(report: Report, root: Path) -> Any:
    """The JSON of what the report would say if it were written now. Raises DMNetError."""
    experiment = experiment_of_report(report)
    rebuilt = build_report(experiment, report.table, root, load_rules(PARAMS))
    return parse_json(json_of(rebuilt))


def _verify_table(findings: Findings, path: str, report: Report, content: Any) -> None:
    """content: the file's JSON, as it stands there."""
    table, target = report.table, path.replace(".json", ".md")
    scale = f"preset={report.preset.name} seeds={report.seeds}"
    todo = f"delete it and run `snakemake {target} --config {scale}`"
    findings.checked["reports"] += 1
    texts = {
        target: render_markdown(report),
        paths.metrics(table, "json"): to_json(metrics_of(report)),
        paths.metrics(table, "csv"): points_of(report),
    }
    changed = []
    try:
        if not _absent_runs(findings, report):
            changed = list(differences(content, rebuild(report, findings.root)))
            texts[paths.curves(table)] = curves_of(report, findings.root)
    except DMNetError as error:
        reason = str(error).partition("; ")[0]  # what to do is said at the file itself
        findings.add(path, "a report that these results and params give", reason, todo)
        return
    for where, found, expected in changed[:NAMED]:
        findings.same(path, f"{where} (by results and params of now)", expected, found, todo)
    if len(changed) > NAMED:
        more = f"{len(changed) - NAMED} more differences"
        findings.add(path, "what results and params of now give", more, todo)
    for name, expected in texts.items():
        _same_text(findings, name, path, expected, todo)


def _absent_runs(findings: Findings, report: Report) -> bool:
    """Whether results that the report rests on are missing; each is a finding."""
    absent = False
    for cell in report.cells:
        results = [paths.evaluation(run.run, run.evaluation) for run in cell.runs]
        if released := cell.released:
            results.append(paths.evaluation(released.run, released.evaluation, paths.RELEASED))
        for result in results:
            for path in (paths.trained_of(result), result):
                if not findings.there(path):
                    name = paths.report(report.table, "json")
                    findings.lost(path, name, f"`snakemake {path}`")
                    absent = True
        for path_of, key in ((paths.count, cell.profile), (paths.speed, cell.speed)):
            path = path_of(str(key))
            if key and cell.source == "profiled" and not findings.there(path):
                findings.missing(path, f"`snakemake {path}` makes it, on this machine")
                absent = True
    return absent


def _same_text(findings: Findings, path: str, json_path: str, expected: str, todo: str) -> None:
    try:
        if read_bounded(findings.root / path, MAX_BYTES).decode() != expected:
            todo = todo.replace("delete it", f"delete {json_path}")
            findings.add(path, f"what {json_path} gives", "other text", todo)
    except (OSError, ValueError):
        findings.add(path, f"the file beside {json_path}", "none", todo)


def differences(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(place, old, new) of every leaf in which two JSON trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{where}.{index}")
    elif old != new:
        yield where, old, new


def _verify_claims(findings: Findings, tables: dict[str, Report]) -> None:
    path, target = paths.report("claims", "json"), paths.report("claims")
    if not findings.there(path):
        return
    todo = f"delete it and run `snakemake {target}` at the same preset and seeds"
    content = findings.json(path, todo, list)
    if content is None:
        return
    findings.checked["lists of claims"] += 1
    try:
        claims = checked(content, Claims)
        if not tables:
            raise ResultError("no report of a table")
        experiment = experiment_of_report(next(iter(tables.values())))
        everything = build_experiment(experiment.preset_name, experiment.seeds)
        lacking = [name for name in everything.tables if name not in tables]
        if lacking:
            findings.missing(paths.report(lacking[0], "json"), "the claims rest on all reports")
            return
        reports = {name: tables[name] for name in everything.tables}
        known, rules = load_claims(PARAMS, everything.tables), load_rules(PARAMS)
        now = {"claims": parse_json(json_of(evaluate_claims(known, reports, rules)))}
        for where, found, expected in list(differences({"claims": content}, now))[:NAMED]:
            findings.same(path, f"{where} (by the reports)", expected, found, todo)
        text = render_claims(claims, next(iter(reports.values())).preset)
        _same_text(findings, target, path, text, todo)
    except DMNetError as error:
        findings.add(path, "claims that these reports and params give", str(error), todo)


def _verify_figure(findings: Findings, path: str, figure: FigureReport) -> None:
    findings.checked["figures"] += 1
    todo = f"delete it and run `snakemake {paths.report(figure.figure, 'png')}`"
    for column in figure.columns:
        predictions = column.predictions
        digest = column.predictions_sha256
        if not findings.hashed(predictions, digest, "predictions of figures", todo):
            findings.missing(predictions, f"`snakemake {predictions}` makes it")
        findings.same_weights(path, paths.trained(column.run), column.weights_sha256, todo)


def _verify_archive(findings: Findings, path: str, content: Archive) -> None:
    todo = f"delete it and run `snakemake {path}`"
    name = f"{paths.REPORTS}/{content.archive.file}"
    if not findings.hashed(name, content.archive.sha256, "submissions", todo):
        findings.add(name, f"the archive that {path} names", "none", todo)
    findings.same_weights(path, paths.trained(content.run), content.weights_sha256, todo)
