"""A report as Markdown, in the published table's layout: published, ours, difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tabulate import tabulate

from pipeline import paths
from pipeline.reports.build import cells_of, count_sources, decimals_of, is_bold
from pipeline.reports.markdown.verdicts import (
    count_verdicts,
    render_verdicts,
    shows_verdicts,
    verdict_of,
)
from pipeline.reports.ranking import describe_agreement
from pipeline.results.made_by import commit_text
from pipeline.results.schemas import Code
from pipeline.shown import code, markdown


def render_markdown(report: dict[str, Any]) -> str:
    parts = [
        f"# {report['title']}",
        f"Source of the published numbers: {report['source']}. Unit: {report['unit']}.",
        _header(report),
        *_tables(report),
        *(f"- {note}" for note in notes_of(report)),
        *render_verdicts(report),
        "## Where each number comes from",
        _origins(report),
        "## What the numbers rest on",
        _settings(report),
    ]
    return "\n\n".join(_join_lists(parts)) + "\n"


def _join_lists(parts: list[str]) -> list[str]:
    """List items follow each other without a blank line; everything else is a paragraph."""
    joined: list[str] = []
    for part in parts:
        if part.startswith("- ") and joined and joined[-1].startswith("- "):
            joined[-1] += "\n" + part
        elif part:
            joined.append(part)
    return joined


def _header(report: dict[str, Any]) -> str:
    preset = report["preset"]
    rows = [["Preset", f"`{preset['name']}`: {preset['title']}"]]
    for data in report["datasets"]:
        text = f"`{data['used']}`, {data['title']}, split `{data['split']}`"
        if data["images"] is not None:
            text += f", {data['images']} images, fingerprint {code(data['fingerprint'][:12])}"
        if data["stand_in"]:
            text += f"; **a stand-in** for `{data['published']}`"
        rows.append(["Dataset", text])
        if data["majority_class_miou"] is not None:
            text = f"{data['majority_class_miou']:.2f} (the most frequent class everywhere)"
            rows.append(["mIoU of the majority class", text])
    counts = count_sources(report)
    if counts["pending"] or counts["failed"]:
        text = ", ".join(f"{count} {source}" for source, count in sorted(counts.items()))
        rows.append(["Cells", f"**partial**: {text}"])
    rows.append(["Seeds", f"{report['seeds']}"])
    agreements = report["rank_agreement"]
    for dataset, agreement in agreements.items():
        where = f" on `{dataset}`" if len(agreements) > 1 else ""
        rows.append([f"Agreement with the published order{where}", describe_agreement(agreement)])
    if report["devices"]:
        rows.append(["Speed and memory measured on", "; ".join(map(markdown, report["devices"]))])
    if shows_verdicts(report):
        rows.append(["Verdicts", count_verdicts(report)])
    rows.append(
        [
            "Trained at commit",
            ", ".join(commit_text(Code.model_validate(code)) for code in report["code"]) or "-",
        ]
    )
    if report.get("measured_by"):
        rows.append(["Evaluated at commit", _measured_text(report)])
    rows.append(["What this shows", preset["shows"].strip()])
    return tabulate(rows, headers=["", ""], tablefmt="pipe", disable_numparse=True)


def _measured_text(report: dict[str, Any]) -> str:
    """Which cells, where it is not one code for all."""
    codes = report["measured_by"]
    if len(codes) == 1:
        return commit_text(Code.model_validate(codes[0]))
    return "; ".join(
        f"{commit_text(Code.model_validate(code))}: {', '.join(code['cells'])}" for code in codes
    )


def _tables(report: dict[str, Any]) -> list[str]:
    """The table, or its sub-tables with their headings."""
    parts = []
    for heading, rows in sub_tables(report):
        parts += [f"## {heading}"] if heading else []
        parts.append(_table(report, rows))
    return parts


def sub_tables(report: dict[str, Any]) -> list[tuple[str | None, list[dict[str, Any]]]]:
    """(heading, rows): the rows up to the next heading."""
    groups: list[tuple[str | None, list[dict[str, Any]]]] = []
    for row in report["rows"]:
        if not groups or "heading" in row:
            groups.append((row.get("heading"), []))
        groups[-1][1].append(row)
    return groups


def speed_columns(report: dict[str, Any]) -> set[str]:
    """The columns whose numbers hold for a device."""
    return {
        column
        for row in report["rows"]
        for column, entry in row.items()
        if isinstance(entry, dict) and entry["speed"]
    }


def _table(report: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    values = [
        column
        for column in report["columns"]
        if any(isinstance(row.get(column), dict) for row in report["rows"])
    ]
    speeds, judged = speed_columns(report), shows_verdicts(report)
    released, trained = shows_released(report), shows_trained(report)
    headers: list[str] = []
    for column in report["columns"]:
        if column not in values:
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
        for column in report["columns"]:
            entry, decimals = row.get(column), decimals_of(report, column)
            mark = "**" if is_bold(report, row, column) else ""
            width = 2 if column in speeds else 1 + 2 * released + 2 * trained + judged
            if column not in values:
                line.append(_text(entry, decimals, mark))
            elif isinstance(entry, dict) and column in speeds:
                line += _numbers(entry, decimals)[:2]
            elif isinstance(entry, dict):
                published, *ours = _numbers(entry, decimals)
                line.append(f"{mark}{published}{mark}")
                line += _released_numbers(entry) if released else []
                line += ours if trained else []
                line += [verdict_of(entry, report)] if judged else []
            else:
                line += [_text(entry, decimals, mark), *[""] * (width - 1)]
        lines.append(line)
    numbers = ("ours", "ours, this device", "released", "Δ")
    align = ["right" if "published" in h or h in numbers else "left" for h in headers]
    return tabulate(lines, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def _text(entry: str | float | None, decimals: int, mark: str) -> str:
    """A label, or a number that is only quoted from the source; mark: around what is in bold."""
    if entry is None:
        return ""
    if isinstance(entry, str):
        return f"{mark}{entry}{mark}"
    return f"{mark}{entry:.{decimals}f}{mark} (quoted)"


def shows_released(report: dict[str, Any]) -> bool:
    """Whether the source's own checkpoints stand in the table."""
    return any(cell["released"] for cell in cells_of(report)) or not shows_trained(report)


def shows_trained(report: dict[str, Any]) -> bool:
    """Whether anything was, or is to be, trained or counted here."""
    return report["trains"]


def _released_numbers(cell: dict[str, Any]) -> list[str]:
    released = cell["released"]
    if released is None:
        return ["" if cell["source"] in ("cited", "trained") else cell["source"], ""]
    value = "absent" if released["value"] is None else f"{released['value']:.2f}"
    difference = "" if released["difference"] is None else f"{released['difference']:+.2f}"
    return [value if released["verified"] else f"{value} (unverified file)", difference]


def _numbers(cell: dict[str, Any], decimals: int) -> list[str]:
    published = "" if cell["published"] is None else f"{cell['published']:.{decimals}f}"
    if cell["ours"] is None:
        return [published, cell["source"], ""]
    # Ours always shows two places, so that rounding to the source's places hides nothing.
    ours = number_text(cell)
    if cell["spread"] is not None:
        ours += f" ± {cell['spread']:.2f}"
    if cell["source"] == "official":
        ours += " (official)"
    difference = "" if cell["difference"] is None else f"{cell['difference']:+.2f}"
    return [published, ours, difference]


def number_text(cell: dict[str, Any]) -> str:
    """Two places; a small memory or speed to two digits instead. Empty without a number."""
    if cell["ours"] is None:
        return ""
    small = bool(cell.get("speed")) and 0 < cell["ours"] < 0.1
    return f"{cell['ours']:.2g}" if small else f"{cell['ours']:.2f}"


def notes_of(report: dict[str, Any], plain: Callable[[object], str] = markdown) -> list[str]:
    """As Markdown. `plain` escapes what came from results and logs; a page does that itself."""
    notes = list(report["notes"])
    notes.insert(0, _meaning_of_difference(report, plain))
    if any("optimised" in measured["evaluated_on"] for measured in _measurements(report)):
        notes.append(
            "Evaluated in the optimised form (dmnet/inference/form.py), whose scores differ from "
            "the plain modules' by rounding; the preset's `optimised_from` switches it."
        )
    for cells in report["same_weights"]:
        notes.append(
            f"{' and '.join(cells)} were trained apart and ended with the same weights, bit for "
            "bit: at this scale what tells them apart (a dilation rate beyond the feature map, for "
            "one) has no effect."
        )
    for cell in cells_of(report):
        if cell["failed"]:
            text = f"**{cell['cell']} failed**: {plain(cell['failed']['error'])}"
            notes.append(f"{text} (log: {code(cell['failed']['log'])})")
        if cell["note"]:
            notes.append(f"{cell['cell']}: {cell['note']}")
    return notes


def _measurements(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every evaluation behind a number, on trained and on released weights."""
    found = [run for cell in cells_of(report) for run in cell["runs"]]
    return found + [cell["released"] for cell in cells_of(report) if cell["released"]]


def _origins(report: dict[str, Any]) -> str:
    rows = []
    for cell in cells_of(report):
        measured = cell["source"]
        if official := cell.get("official"):
            measured = "trained, measured here"
            given = f"{official['source']} ({official['date']})"
            run = f"`{official['run']}`"
            rows.append([cell["cell"], "official", run, "", _value(cell["ours"]), given, "", ""])
        elif not cell["runs"] and not cell["released"]:
            profile = f"`{paths.COUNTS}/{cell['profile']}`" if cell["profile"] else ""
            profile = f"`{paths.SPEED}/{cell['speed']}`" if cell["speed"] else profile
            rows.append([cell["cell"], cell["source"], profile, "", number_text(cell), "", "", ""])
        for run in cell["runs"]:
            rows.append(
                [
                    cell["cell"],
                    measured,
                    f"`{run['run']}`",
                    str(run["seed"]),
                    _value(run["value"]),
                    f"`{run['evaluation']}`",
                    code(run["weights_sha256"][:12]),
                    markdown(run["trained_on"]),
                ]
            )
        if released := cell["released"]:
            rows.append(
                [
                    cell["cell"],
                    f"released: {code(released['file'])}"
                    + ("" if released["verified"] else ", unverified"),
                    f"`{released['run']}`",
                    "",
                    _value(released["value"]),
                    f"`{released['evaluation']}`",
                    code(released["weights_sha256"][:12]),
                    markdown(released["evaluated_on"]),
                ]
            )
    headers = ["Cell", "Source", "Run", "Seed", "Value", "Evaluation", "Weights", "Device"]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def _value(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def _meaning_of_difference(report: dict[str, Any], plain: Callable[[object], str]) -> str:
    if all(cell["profile"] for cell in cells_of(report)):
        return "Δ is ours minus published. Counted at full width, so it is final at every preset."
    if report["preset"]["judged"]:
        return "Δ is ours minus published." + _meaning_of_speed(report, plain)
    return (
        f"Δ is ours minus published. At preset `{report['preset']['name']}` it is no verdict: the "
        "two numbers were measured on different data at a different scale."
    ) + _meaning_of_speed(report, plain)


def _meaning_of_speed(report: dict[str, Any], plain: Callable[[object], str]) -> str:
    if not speed_columns(report):
        return ""
    devices = "; ".join(map(plain, report["devices"])) or "not measured yet"
    return (
        f" {' and '.join(c for c in report['columns'] if c in speed_columns(report))} hold for a "
        f"device, the published ones for the publishers', ours for this one ({devices}): they have "
        "no Δ and are never judged."
    )


SECTIONS = {
    "table": "Chosen by the table's own cells",
    "assumed": "Assumed: the source does not say",
    "inherited": "Inherited from another implementation",
    "derived": "Derived from what the source states",
    "preset": "Changed by the preset",
    "stated": "Stated by the source",
}


def _settings(report: dict[str, Any]) -> str:
    parts = []
    for origin, title in SECTIONS.items():
        settings = report["settings"][origin]
        if settings:
            rows = [
                [f"`{s['key']}`", f"`{short_value(s['value'])}`", s["source"]] for s in settings
            ]
            headers = ["Setting", "Value", "Source or reason"]
            table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
            parts.append(f"### {title}\n\n{table}")
    return "\n\n".join(parts)


def short_value(value: Any) -> str:
    if isinstance(value, dict) and value:
        return str(value.get("file", value))
    return "none" if value in (None, {}) else str(value)
