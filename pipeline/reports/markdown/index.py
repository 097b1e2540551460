"""`reports/index.md`: every report in one list, with how much of it is there."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

from pipeline.reports.build import cells_of, count_sources
from pipeline.reports.ranking import describe_agreement, rank_agreements


def render_index(
    reports: dict[str, dict[str, Any]],
    preset: str,
    title: str,
    figures: dict[str, dict[str, Any]] | None = None,
) -> str:
    """reports: table name -> its JSON report, in the order they shall stand; figures likewise."""
    rows = []
    for name, report in reports.items():
        sources = count_sources(report).items()
        counts = ", ".join(f"{count} {source}" for source, count in sorted(sources))
        rows.append([f"[{name}]({name}.md)", report["title"], counts, _order([report])])
    for name, figure in (figures or {}).items():
        counts = f"{len(figure['columns'])} models on {len(figure['images'])} images"
        rows.append([f"[{name}]({name}.md)", figure["title"], counts, ""])
    headers = ["Report", "What", "Cells", "Agreement with the published order"]
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    together = [
        f"Tables on `{dataset}` together: agreement with the published order {order}."
        for dataset, group in _by_dataset(reports).items()
        if len(group) > 1 and (order := _order(group))
    ]
    claims = "[claims](claims.md): what the paper says, on its numbers and on ours."
    parts = [f"# Reports at preset `{preset}`", f"{title}.", table, *together, claims]
    return "\n\n".join(parts) + "\n"


def _by_dataset(reports: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The tables that rest on one published dataset each."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for report in reports.values():
        names = {data["published"] for data in report["datasets"]}
        if len(names) == 1 and report["not_comparable"] is None:
            groups.setdefault(names.pop(), []).append(report)
    return groups


def _order(reports: list[dict[str, Any]]) -> str:
    found = rank_agreements([cell for report in reports for cell in cells_of(report)])
    if len(found) == 1:
        return describe_agreement(next(iter(found.values())))
    return "; ".join(f"`{name}` {describe_agreement(entry)}" for name, entry in found.items())
