"""`reports/index.md`: every report in one list, with how much of it is there."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tabulate import tabulate

from pipeline.report import cells_of


def render_index(
    reports: dict[str, dict[str, Any]],
    preset: str,
    title: str,
    figures: dict[str, dict[str, Any]] | None = None,
) -> str:
    """reports: table name -> its JSON report, in the order they shall stand; figures likewise."""
    rows = []
    for name, report in reports.items():
        sources = Counter(cell["source"] for cell in cells_of(report))
        counts = ", ".join(f"{count} {source}" for source, count in sorted(sources.items()))
        rows.append([f"[{name}]({name}.md)", report["title"], counts])
    for name, figure in (figures or {}).items():
        counts = f"{len(figure['columns'])} models on {len(figure['images'])} images"
        rows.append([f"[{name}]({name}.md)", figure["title"], counts])
    table = tabulate(rows, ["Report", "What", "Cells"], tablefmt="pipe", disable_numparse=True)
    claims = "[claims](claims.md): what the paper says, on its numbers and on ours."
    return f"# Reports at preset `{preset}`\n\n{title}.\n\n{table}\n\n{claims}\n"
