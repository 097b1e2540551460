"""Reports: each is built again from the results and params that lie here, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmnet.errors import DMNetError
from dmnet.files import MAX_BYTES, read_bounded, to_json
from pipeline import paths
from pipeline.errors import ResultError
from pipeline.experiments import PARAMS, Experiment, build_experiment
from pipeline.inspection.verify.findings import Findings
from pipeline.reports.build import build_report, cells_of
from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.dvc_views import curves_of, metrics_of, points_of
from pipeline.reports.markdown.claims import render_claims
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.schemas import Report
from pipeline.reports.verdict import load_rules
from pipeline.results.files import checked

# What reading raises where a stranger or a rotten disk wrote the content.
MALFORMED = (
    *(DMNetError, KeyError, TypeError, AttributeError, ValueError, IndexError),
    *(ArithmeticError, RecursionError, RuntimeError, OSError),
)
NAMED = 5  # differences of one report that are told; the others are counted


def verify_reports(findings: Findings) -> None:
    """All tables of `reports/`, the claims, the figures' predictions, the archives to be sent."""
    tables = {}
    for file in sorted((findings.root / paths.REPORTS).glob("*.json")):
        path = paths.report(file.stem, "json")
        if file.stem in ("claims", "fidelity"):
            continue  # lists; the claims follow below
        content = findings.json(path, f"delete it and run `snakemake {path}`")
        if content is None:
            continue
        with _reading(findings, path, f"delete it and run `snakemake {path}`"):
            if "rows" in content and "table" in content:
                try:
                    checked(content, Report)
                except ResultError as error:
                    found = f"{error}; delete the file and run again"
                    findings.add(path, "a report of this version", found, f"`snakemake {path}`")
                    continue
                tables[str(content["table"])] = content
                _verify_table(findings, path, content)
            elif "figure" in content:
                _verify_figure(findings, path, content)
            elif "archive" in content:
                _verify_archive(findings, path, content)
    _verify_claims(findings, tables)


@contextmanager
def _reading(findings: Findings, path: str, todo: str) -> Iterator[None]:
    """Whatever is read inside: content of another form than its writer's is a finding."""
    try:
        yield
    except MALFORMED as error:
        text = str(error) if isinstance(error, DMNetError) else f"{type(error).__name__} {error}"
        findings.add(path, "content as it is written here", text[:300], todo)


def at(content: Any, *keys: str) -> Any:
    """The entry at this path, or None where there is none."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def experiment_of_report(report: dict[str, Any]) -> Experiment:
    """The report's table as params have it now. Raises DMNetError where they no longer do."""
    measured = [cell for cell in cells_of(report) if cell.get("released") is not None]
    trained = any(cell["runs"] for cell in cells_of(report))
    source = "trained" if not measured else "both" if trained else "released"
    preset, seeds = report["preset"]["name"], report["seeds"]
    return build_experiment(preset, seeds, [report["table"]], source=source)


def rebuild(report: dict[str, Any], root: Path) -> dict[str, Any]:
    """What the report would say if it were written now. Raises DMNetError."""
    experiment = experiment_of_report(report)
    return plain(build_report(experiment, report["table"], root, load_rules(PARAMS)))


def _verify_table(findings: Findings, path: str, report: dict[str, Any]) -> None:
    target = path.replace(".json", ".md")
    preset, seeds = at(report, "preset", "name"), report.get("seeds")
    todo = f"delete it and run `snakemake {target} --config preset={preset} seeds={seeds}`"
    findings.checked["reports"] += 1
    try:
        absent = _absent_runs(findings, report)
        now = None if absent else rebuild(report, findings.root)
        markdown, views = render_markdown(report), (to_json(metrics_of(report)), points_of(report))
        curves = None if absent else curves_of(report, findings.root)
    except (DMNetError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).partition("; ")[0]  # what to do is said at the file itself
        findings.add(path, "a report that these results and params give", reason, todo)
        return
    if now is not None:
        changed = list(differences(report, now))
        for where, found, expected in changed[:NAMED]:
            findings.same(path, f"{where} (by results and params of now)", expected, found, todo)
        if len(changed) > NAMED:
            more = f"{len(changed) - NAMED} more differences"
            findings.add(path, "what results and params of now give", more, todo)
    for name, expected in (
        (target, markdown),
        (paths.metrics(report["table"], "json"), views[0]),
        (paths.metrics(report["table"], "csv"), views[1]),
    ):
        _same_text(findings, name, path, expected, todo)
    if curves is not None:
        name = paths.curves(report["table"])
        _same_text(findings, name, path, curves, todo)


def _absent_runs(findings: Findings, report: dict[str, Any]) -> bool:
    """Whether results that the report rests on are missing; each is told."""
    absent = False
    for cell in cells_of(report):
        kinds = [(paths.RUNS, run) for run in cell["runs"]]
        kinds += [(paths.RELEASED, cell["released"])] if cell.get("released") else []
        for kind, run in kinds:
            result = paths.evaluation(run["run"], run["evaluation"], kind)
            for path in (paths.trained_of(result), result):
                if not findings.there(path):
                    report_name = paths.report(report["table"], "json")
                    findings.lost(path, report_name, f"`snakemake {path}`")
                    absent = True
        for kind, path_of in (("profile", paths.count), ("speed", paths.speed)):
            path = path_of(str(cell.get(kind)))
            counted = cell.get(kind) and cell["source"] == "profiled"
            if counted and not findings.there(path):
                findings.missing(path, f"`snakemake {path}` makes it, on this machine")
                absent = True
    return absent


def _same_text(findings: Findings, path: str, source: str, expected: str, todo: str) -> None:
    try:
        found = read_bounded(findings.root / path, MAX_BYTES).decode()
    except (OSError, ValueError):
        findings.add(path, f"the file beside {source}", "none", todo)
        return
    if found != expected:
        todo = todo.replace("delete it", f"delete {source}")
        findings.add(path, f"what {source} gives", "other text", todo)


def differences(old: Any, new: Any, where: str = "") -> Any:
    """(place, old, new) of every leaf in which two JSON trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{where}.{index}")
    elif old != new:
        yield where, old, new


def plain(content: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON: lists for tuples."""
    import json

    plain: dict[str, Any] = json.loads(to_json(content))
    return plain


def _verify_claims(findings: Findings, tables: dict[str, dict[str, Any]]) -> None:
    path, text = paths.report("claims", "json"), paths.report("claims")
    if not findings.there(path):
        return
    todo = f"delete it and run `snakemake {text}` at the same preset and seeds"
    claims = findings.json(path, todo, list)
    if claims is None:
        return
    findings.checked["lists of claims"] += 1
    try:
        experiment = experiment_of_report(next(iter(tables.values())))
        everything = build_experiment(experiment.preset_name, experiment.seeds)
        lacking = [name for name in everything.tables if name not in tables]
        if lacking:
            findings.missing(paths.report(lacking[0], "json"), "the claims rest on all reports")
            return
        reports = {name: tables[name] for name in everything.tables}
        known, rules = load_claims(PARAMS, everything.tables), load_rules(PARAMS)
        now = plain({"claims": evaluate_claims(known, reports, rules)})
        for where, found, expected in list(differences({"claims": claims}, now))[:NAMED]:
            findings.same(path, f"{where} (by the reports)", expected, found, todo)
        preset = next(iter(reports.values()))["preset"]
        _same_text(findings, text, path, render_claims(claims, preset), todo)
    except (DMNetError, StopIteration, KeyError, TypeError) as error:
        findings.add(path, "claims that these reports and params give", str(error), todo)


def _verify_figure(findings: Findings, path: str, figure: dict[str, Any]) -> None:
    findings.checked["figures"] += 1
    name = figure["figure"]
    todo = f"delete it and run `snakemake {paths.report(name, 'png')}`"
    columns = figure.get("columns")
    for column in columns if isinstance(columns, list) else []:
        if not isinstance(column, dict):
            findings.add(path, "an object for each column", str(column), todo)
            continue
        predictions = str(column.get("predictions"))
        if findings.there(predictions):
            digest = column.get("predictions_sha256")
            findings.hashed(predictions, digest, "predictions of figures", todo)
        else:
            findings.missing(predictions, f"`snakemake {predictions}` makes it")
        _same_weights(findings, path, str(column.get("run")), column.get("weights_sha256"), todo)


def _verify_archive(findings: Findings, path: str, content: dict[str, Any]) -> None:
    todo = f"delete it and run `snakemake {path}`"
    name = f"{paths.REPORTS}/{Path(str(at(content, 'archive', 'file'))).name}"
    if findings.there(name):
        findings.hashed(name, at(content, "archive", "sha256"), "submissions", todo)
    else:
        findings.add(name, f"the archive that {path} names", "none", todo)
    _same_weights(findings, path, str(content.get("run")), content.get("weights_sha256"), todo)


def _same_weights(findings: Findings, path: str, key: str, digest: Any, todo: str) -> None:
    trained = paths.trained(key)
    if not findings.there(trained):
        findings.lost(trained, path, todo)
        return
    findings.same(path, f"weights of {trained}:", findings.weights_of(trained), digest, todo)
