"""A report as Markdown, in the published table's layout: published, ours, difference."""

from __future__ import annotations

from pipeline.escaping import code, markdown
from pipeline.reports.markdown.notes import notes_of, speed_columns
from pipeline.reports.markdown.origins import render_origins, render_settings
from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.markdown.verdicts import (
    count_verdicts,
    render_verdicts,
    shows_verdicts,
    verdict_of,
)
from pipeline.reports.model.report import Report, ReportedCell, Row
from pipeline.reports.numbers import ours_text, published_text, two_places
from pipeline.reports.ranking import describe_agreement
from pipeline.results.made_by import commit_text


def render_markdown(report: Report) -> str:
    parts = [
        f"# {report.title}",
        f"Source of the published numbers: {report.source}. Unit: {report.unit}.",
        _header(report),
        *_tables(report),
        "\n".join(f"- {note}" for note in notes_of(report)),
        *render_verdicts(report),
        "## Where each number comes from",
        render_origins(report),
        "## What the numbers rest on",
        render_settings(report),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _header(report: Report) -> str:
    preset = report.preset
    rows = [["Preset", f"`{preset.name}`: {preset.title}"]]
    for data in report.datasets:
        text = f"`{data.used}`, {data.title}, split `{data.split}`"
        if data.images is not None:
            text += f", {data.images} images, fingerprint {code((data.fingerprint or '')[:12])}"
        if data.stand_in:
            text += f"; **a stand-in** for `{data.published}`"
        rows.append(["Dataset", text])
        if data.majority_class_miou is not None:
            text = f"{data.majority_class_miou:.2f} (the most frequent class everywhere)"
            rows.append(["mIoU of the majority class", text])
    if report.lacking("pending", "failed"):
        rows.append(["Cells", f"**partial**: {report.source_counts}"])
    rows.append(["Seeds", f"{report.seeds}"])
    agreements = report.rank_agreement
    for dataset in dict.fromkeys(cell.dataset for cell in report.cells):  # JSON's are sorted
        if agreement := agreements.get(dataset or ""):
            where = f" on `{dataset}`" if len(agreements) > 1 else ""
            text = describe_agreement(agreement)
            rows.append([f"Agreement with the published order{where}", text])
    if report.devices:
        rows.append(["Speed and memory measured on", "; ".join(map(markdown, report.devices))])
    if shows_verdicts(report):
        rows.append(["Verdicts", count_verdicts(report)])
    rows.append(["Trained at commit", ", ".join(map(commit_text, report.code)) or "-"])
    if report.measured_by:
        # Which cells, where it is not one code for all.
        several = len(report.measured_by) > 1
        texts = [
            f"{commit_text(code)}: {', '.join(code.cells)}" if several else commit_text(code)
            for code in report.measured_by
        ]
        rows.append(["Evaluated at commit", "; ".join(texts)])
    rows.append(["What this shows", preset.shows.strip()])
    return pipe_table(rows)


def _tables(report: Report) -> list[str]:
    """The table, or its sub-tables with their headings."""
    starts = [at for at, row in enumerate(report.rows) if at == 0 or "heading" in row]
    parts = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        heading = report.rows[start].get("heading")
        parts += [f"## {heading}"] if heading else []
        parts.append(_table(report, report.rows[start:end]))
    return parts


def _table(report: Report, rows: list[Row]) -> str:
    numbers, speeds = report.number_columns, speed_columns(report)
    judged, trained = shows_verdicts(report), report.trains
    released = not trained or any(cell.released for cell in report.cells)
    headers: list[str] = []
    for column in report.columns:
        if column not in numbers:
            headers.append(column)
        elif column in speeds:  # two devices: neither a difference nor a verdict
            headers += [f"{column} published", "ours, this device"]
        else:
            headers.append(f"{column} published")
            headers += ["released", "Δ"] if released else []
            headers += ["ours", "Δ"] if trained else []
            headers += ["verdict"] if judged else []
    lines = []
    for row in rows:
        line: list[str] = []
        for column in report.columns:
            entry, decimals = row.get(column), report.decimals_of(column)
            mark = "**" if report.is_bold(row, column) else ""
            width = 2 if column in speeds else 1 + 2 * released + 2 * trained + judged
            if not isinstance(entry, ReportedCell):
                text = _text(entry, decimals, mark)
                line += [text, *[""] * (width - 1)] if column in numbers else [text]
            elif column in speeds:
                line += [published_text(entry, decimals), _ours(entry)]
            else:
                line.append(f"{mark}{published_text(entry, decimals)}{mark}")
                line += _released(entry) if released else []
                line += [_ours(entry), two_places(entry.difference, "+")] if trained else []
                line += [verdict_of(entry, report)] if judged else []
        lines.append(line)
    right = ("ours", "ours, this device", "released", "Δ")
    align = ["right" if "published" in h or h in right else "left" for h in headers]
    return pipe_table(lines, headers, align)


def _text(entry: str | float | None, decimals: int, mark: str) -> str:
    """A label, or a number that is only quoted from the source; mark: around what is in bold."""
    if entry is None:
        return ""
    if isinstance(entry, str):
        return f"{mark}{entry}{mark}"
    return f"{mark}{entry:.{decimals}f}{mark} (quoted)"


def _released(cell: ReportedCell) -> list[str]:
    released = cell.released
    if released is None:
        return ["" if cell.source in ("cited", "trained") else cell.source, ""]
    value = two_places(released.value) or "absent"
    difference = two_places(released.difference, "+")
    return [value if released.verified else f"{value} (unverified file)", difference]


def _ours(cell: ReportedCell) -> str:
    return ours_text(cell) + (" (official)" if cell.source == "official" else "")
