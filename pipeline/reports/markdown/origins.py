"""Where each number of a table comes from, and the settings that it rests on."""

from __future__ import annotations

from pydantic import JsonValue

from pipeline import paths
from pipeline.escaping import code, markdown
from pipeline.reports.markdown.tables import pipe_table
from pipeline.reports.model.report import (
    Origin,
    ReleasedOfCell,
    Report,
    ReportedCell,
    ReportedSetting,
    RunOfCell,
)
from pipeline.reports.numbers import number_text, two_places


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
        counted = f"`{paths.COUNTS}/{cell.profile}`" if cell.profile else ""
        measured = f"`{paths.SPEED}/{cell.speed}`" if cell.speed else counted
        lines.append([cell.source, measured, "", number_text(cell), "", "", ""])
    source: str = "trained, measured here" if cell.official else cell.source
    lines += [_line(source, str(run.seed), run, run.trained_on) for run in cell.runs]
    if released := cell.released:
        source = f"released: {code(released.file)}"
        source += "" if released.verified else ", unverified"
        lines.append(_line(source, "", released, released.evaluated_on))
    return lines


def _line(source: str, seed: str, run: RunOfCell | ReleasedOfCell, device: str) -> list[str]:
    weights = code(run.weights_sha256[:12])
    measured = [two_places(run.value), f"`{run.evaluation}`", weights, markdown(device)]
    return [source, f"`{run.run}`", seed, *measured]


SECTIONS: dict[Origin, str] = {
    "table": "Chosen by the table's own cells",
    "assumed": "Assumed: the source does not say",
    "inherited": "Inherited from another implementation",
    "derived": "Derived from what the source states",
    "preset": "Changed by the preset",
    "stated": "Stated by the source",
}


def sections_of(report: Report) -> list[tuple[str, list[ReportedSetting]]]:
    """(title, settings) of each origin that there is."""
    sections = [(title, report.settings.get(origin, [])) for origin, title in SECTIONS.items()]
    return [(title, settings) for title, settings in sections if settings]


def render_settings(report: Report) -> str:
    headers = ["Setting", "Value", "Source or reason"]
    parts = []
    for title, settings in sections_of(report):
        rows = [[f"`{s.key}`", f"`{short_value(s.value)}`", s.source] for s in settings]
        parts.append(f"### {title}\n\n{pipe_table(rows, headers)}")
    return "\n\n".join(parts)


def short_value(value: JsonValue) -> str:
    if isinstance(value, dict) and value:
        return str(value.get("file", value))
    return "none" if value in (None, {}) else str(value)
