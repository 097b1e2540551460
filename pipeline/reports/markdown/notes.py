"""The notes below a table."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.escaping import code, markdown
from pipeline.reports.model.report import Report, is_cell


def notes_of(report: Report, plain: Callable[[object], str] = markdown) -> list[str]:
    """As Markdown. `plain` escapes what came from results and logs; a page does that itself."""
    notes = [_meaning_of_difference(report, plain), *report.notes]
    measured = [evaluation for cell in report.cells for evaluation in cell.measured]
    if any("optimised" in evaluation.evaluated_on for evaluation in measured):
        notes.append(
            "Evaluated in the optimised form (dmnet/inference/form.py), whose scores differ from "
            "the plain modules' by rounding; the preset's `optimised_from` switches it."
        )
    for cells in report.same_weights:
        notes.append(
            f"{' and '.join(cells)} were trained apart and ended with the same weights, bit for "
            "bit: at this scale what tells them apart (a dilation rate beyond the feature map, for "
            "one) has no effect."
        )
    for cell in report.cells:
        if cell.failed:
            text = f"**{cell.cell} failed**: {plain(cell.failed.error)}"
            notes.append(f"{text} (log: {code(cell.failed.log)})")
        if cell.note:
            notes.append(f"{cell.cell}: {cell.note}")
    return notes


def speed_columns(report: Report) -> list[str]:
    """The columns whose numbers hold for a device."""
    return [
        column
        for column in report.columns
        if any(is_cell(cell := row.get(column)) and cell.speed for row in report.rows)
    ]


def _meaning_of_difference(report: Report, plain: Callable[[object], str]) -> str:
    text = "Δ is ours minus published."
    if all(cell.profile for cell in report.cells):
        return f"{text} Counted at full width, so it is final at every preset."
    if not report.preset.judged:
        text += (
            f" At preset `{report.preset.name}` it is no verdict: the two numbers were measured "
            "on different data at a different scale."
        )
    if columns := speed_columns(report):
        devices = "; ".join(map(plain, report.devices)) or "not measured yet"
        text += (
            f" {' and '.join(columns)} hold for a device, the published ones for the publishers', "
            f"ours for this one ({devices}): they have no Δ and are never judged."
        )
    return text
