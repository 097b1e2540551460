"""`reports/index.md`: every report in one list, and how complete it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.model.base import PresetSummary
from pipeline.reports.model.figure import FigureReport
from pipeline.reports.model.report import Report
from pipeline.reports.ranking import describe_agreement, rank_agreements


def render_index(
    reports: Mapping[str, Report], figures: Mapping[str, FigureReport], preset: PresetSummary
) -> str:
    """By name, in the order they shall stand."""
    rows = []
    for name, report in reports.items():
        counts = report.source_counts
        rows.append([f"[{name}]({name}.md)", report.title, counts, _order([report])])
    for name, figure in figures.items():
        counts = f"{len(figure.columns)} models on {len(figure.images)} images"
        rows.append([f"[{name}]({name}.md)", figure.title, counts, ""])
    headers = ["Report", "What", "Cells", "Agreement with the published order"]
    together = [
        f"Tables on `{dataset}` together: agreement with the published order {order}."
        for dataset, group in _by_dataset(reports.values()).items()
        if len(group) > 1 and (order := _order(group))
    ]
    claims = "[claims](claims.md): what the paper says, on its numbers and on ours."
    head = [f"# Reports at preset `{preset.name}`", f"{preset.title}."]
    return "\n\n".join([*head, pipe_table(rows, headers), *together, claims]) + "\n"


def _by_dataset(reports: Iterable[Report]) -> dict[str, list[Report]]:
    """The tables that rest on one published dataset each."""
    groups: dict[str, list[Report]] = {}
    for report in reports:
        names = {data.published for data in report.datasets}
        if len(names) == 1 and report.not_comparable is None:
            groups.setdefault(names.pop(), []).append(report)
    return groups


def _order(reports: list[Report]) -> str:
    agreements = rank_agreements([cell for report in reports for cell in report.cells])
    if len(agreements) == 1:
        return describe_agreement(next(iter(agreements.values())))
    return "; ".join(f"`{name}` {describe_agreement(entry)}" for name, entry in agreements.items())
