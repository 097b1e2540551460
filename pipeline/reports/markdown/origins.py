"""Where each number of a table comes from, and the settings that it rests on."""

from __future__ import annotations

from pydantic import JsonValue

from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.model.report import Report, ReportedCell, Setting, Settings
from pipeline.reports.numbers import number_text, two_places
from pipeline.shown import code, markdown


def render_origins(report: Report) -> str:
    headers = ["Cell", "Source", "Run", "Seed", "Value", "Evaluation", "Weights", "Device"]
    rows = [[cell.cell, *line] for cell in report.cells for line in _lines(cell)]
    return pipe_table(rows, headers)


def _lines(cell: ReportedCell) -> list[list[str]]:
    lines = []
    if official := cell.official:
        given = f"{official.source} ({official.date})"
        ours = two_places(cell.ours)
        lines.append(["official", f"`{official.run}`", "", ours, given, "", ""])
    elif not cell.measured:
        counted = f"`counts/{cell.profile}`" if cell.profile else ""
        measured = f"`speed/{cell.speed}`" if cell.speed else counted
        lines.append([cell.source, measured, "", number_text(cell), "", "", ""])
    for run in cell.runs:
        lines.append(
            [
                "trained, measured here" if cell.official else cell.source,
                f"`{run.run}`",
                str(run.seed),
                two_places(run.value),
                f"`{run.evaluation}`",
                code(run.weights_sha256[:12]),
                markdown(run.trained_on),
            ]
        )
    if released := cell.released:
        lines.append(
            [
                f"released: {code(released.file)}" + ("" if released.verified else ", unverified"),
                f"`{released.run}`",
                "",
                two_places(released.value),
                f"`{released.evaluation}`",
                code(released.weights_sha256[:12]),
                markdown(released.evaluated_on),
            ]
        )
    return lines


def render_settings(settings: Settings) -> str:
    headers = ["Setting", "Value", "Source or reason"]
    return "\n\n".join(
        f"### {title}\n\n"
        + pipe_table(
            [[f"`{s.key}`", f"`{short_value(s.value)}`", s.source] for s in entries], headers
        )
        for title, entries in sections_of(settings)
    )


def sections_of(settings: Settings) -> list[tuple[str, list[Setting]]]:
    """(title, settings) of each origin that there is."""
    sections = [
        ("Chosen by the table's own cells", settings.table),
        ("Assumed: the source does not say", settings.assumed),
        ("Inherited from another implementation", settings.inherited),
        ("Derived from what the source states", settings.derived),
        ("Changed by the preset", settings.preset),
        ("Stated by the source", settings.stated),
    ]
    return [(title, entries) for title, entries in sections if entries]


def short_value(value: JsonValue) -> str:
    if isinstance(value, dict) and value:
        return str(value.get("file", value))
    return "none" if value in (None, {}) else str(value)
