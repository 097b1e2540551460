"""`params/` held against what the sources state (tests/golden/sources.json), in both directions.

Each function yields one line per difference, which names the table, the row and the column (or the
file and the key), what `params/` has and what the source has. What differs on purpose stands in the
lists of this file, each entry with its reason; an entry that no longer differs is a difference too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.reports.claims.bold import bold_places
from pipeline.spec.params import Params
from pipeline.spec.tables import DEFAULTS, HEADING, CellSpec, TableSpec, row_label
from pipeline.spec.yaml_files import load_yaml

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SOURCES = json.loads((GOLDEN / "sources.json").read_text())
BY_NUMBER = {name[:3]: source for name, source in SOURCES.items()}
PAPER = BY_NUMBER["003"]
READMES = {
    "mmseg_dmnet": BY_NUMBER["000"],
    "ssseg_dmnet": BY_NUMBER["001"],
    "mmseg_bisenetv2": BY_NUMBER["002"],
    "mmseg_deeplabv3": BY_NUMBER["004"],
}
PAPER_TABLES = {table["name"].lower().replace(" ", ""): table for table in PAPER["tables"]}

# ---------------------------------------------------------------- what differs, and why it does

OURS = "the paper's `Ours` would be read as ours here"
SHORT = "a column's title has no room for a citation"
RENAMED = {  # table -> the source's words -> (ours, why)
    "table1": {"Ours": ("Context-aware (ours in the paper)", OURS)},
    "table3": {
        "Ours": ("DMNet (ours in the paper)", OURS),
        "Parameters": ("Parameters (M)", "the unit, which the paper writes behind each number"),
        "Flops": ("Flops (G)", "the unit, which the paper writes behind each number"),
    },
    "table4": {"mIoU(%)": ("mIoU%", "written as in the other tables")},
    "table6": {"✓": ("x", "plain ASCII")},
    "table7": {
        "Method": ("Class", "rows are columns here"),
        "mIoU%": ("mIoU", "the table's unit says %"),
        "Ours": ("DMNet", OURS),
        "FCN [32]": ("FCN", SHORT),
        "DeepLabv2 [5]": ("DeepLabv2", SHORT),
        "CRF-RNN [53]": ("CRF-RNN", SHORT),
        "DeconvNet [34]": ("DeconvNet", SHORT),
        "DPN [31]": ("DPN", SHORT),
        "Piecewise [27]": ("Piecewise", SHORT),
        "ResNet38 [43]": ("ResNet38", SHORT),
        "PSPNet [51]": ("PSPNet", SHORT),
        "EncNet [49]": ("EncNet", SHORT),
    },
    "table8": {"Ours": ("DMNet (ours in the paper)", OURS)},
    "table9": {"Ours": ("DMNet (ours in the paper)", OURS)},
}
TRANSPOSED = {"table7": "so that ours can stand beside the published number"}
NO_ROW_OF_THE_SOURCE = {  # (table, row) -> why it stands in params/
    ("table8", "DMNet, 59 classes ResNet101"): "the paper does not say whether background counts",
    (
        "mmseg_bisenetv2",
        "BiSeNetV2 (OHEM), as released BiSeNetV2 1024x1024 160000",
    ): "what release 1.2.2's OHEM configuration trains",
}
OTHER_PLACES = {  # (table, column) -> why numbers are printed to other places than the source's
    ("table8", "mIoU%"): "ours has two places as in every other table of mIoU",
}
NOT_OF_THE_README = {  # `source` of a checkpoint's further file -> why it is no fact of a README
    "mmsegmentation 1.2.2 metafile.yaml": "release 1.2.2 itself names another file for the row",
}
LINKS_LEFT_OUT = {
    "https://github.com/SegmentationBLWX/sssegmentation/blob/main/ssseg/modules/models/segmentors/"
    "dmnet/dmnet.py": "code, of which nothing is taken",
    "https://openaccess.thecvf.com/content_ICCV_2019/papers/He_Dynamic_Multi-Scale_Filters_for_"
    "Semantic_Segmentation_ICCV_2019_paper.pdf": "the paper, cited by name",
    "https://pan.baidu.com/s/1gD-NJJWOtaHCtB0qHE79rA": "needs an access code; the same files",
    "http://host.robots.ox.ac.uk:8080/anonymous/GQQMVH.html": "the test server's page of the "
    "paper's own submission; its numbers are Table 7's",
}

# ---------------------------------------------------------------------------------- tables

NUMBER = re.compile(r"(\d+(?:\.(\d+))?)([%MG]?)")
LINK = re.compile(r"\[(\w+)\]\((\S+?)\)")

Row = dict[str, Any]


def tables(params: Params) -> Iterator[str]:
    """All tables of `params/` against all tables of the sources."""
    expected = {*PAPER_TABLES, *READMES}
    for name in sorted(expected ^ set(params.table_names)):
        yield f"{name}: in {'the sources' if name in expected else 'params/'} alone"
    for name in params.table_names:
        yield from table(name, params.table(name))


def table(name: str, spec: TableSpec) -> Iterator[str]:
    """Columns, rows, every cell, units and places of one table, and what its `source` says."""
    columns, theirs = source_grid(name)
    yield from _differ(f"{name}: columns", list(spec.columns), columns)
    yield from _differ(f"{name}: source", spec.source, source_of(name))
    if name in PAPER_TABLES and not spec.title.startswith(f"{PAPER_TABLES[name]['name']}. "):
        yield f"{name}: title {spec.title!r}; expected {PAPER_TABLES[name]['name']!r} first"
    labels = {row_label(row) for row in spec.rows}
    for where, row in NO_ROW_OF_THE_SOURCE:
        if where == name and row not in labels:
            yield f"{name}: no row {row!r} any more; take it out of NO_ROW_OF_THE_SOURCE"
    ours = [row for row in spec.rows if (name, row_label(row)) not in NO_ROW_OF_THE_SOURCE]
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False), 1):
        found = list(_row(f"{name}, row {number} ({row_label(mine)})", spec, mine, other))
        yield from found
        if found and len(ours) != len(theirs):  # the others are shifted
            break
    if len(ours) != len(theirs):
        yield f"{name}: {len(ours)} rows in params/, {len(theirs)} in the source"
    yield from _places(name, spec, theirs)
    if name in PAPER_TABLES:
        marks = [(index, column) for index, column in bold_places(spec)]
        yield from _differ(f"{name}: bold marks", marks, bold(name))


def source_grid(name: str) -> tuple[list[str], list[Row]]:
    """(columns, rows) of the source's table in the layout and with the labels of params/tables."""
    if name in READMES:
        found = READMES[name]["tables"]
        rows = [
            {HEADING: part["name"] if first else "", **row["cells"]}
            for part in found
            for first, row in zip([True] + [False] * len(part["rows"]), part["rows"], strict=False)
        ]
        assert all(part["columns"] == found[0]["columns"] for part in found)
        return list(found[0]["columns"]), rows
    source = PAPER_TABLES[name]
    columns, rows = source["columns"], [row["cells"] for row in source["rows"]]
    if name in TRANSPOSED:
        first, *others = columns
        turned = {row[first]: row for row in rows}
        columns = [first, *turned]
        rows = [
            {first: column, **{label: row[column] for label, row in turned.items()}}
            for column in others
        ]
    words = {theirs: ours for theirs, (ours, _) in RENAMED.get(name, {}).items()}
    return (
        [words.get(column, column) for column in columns],
        [
            {words.get(column, column): words.get(value, value) for column, value in row.items()}
            for row in rows
        ],
    )


def bold(name: str) -> list[tuple[int, str]]:
    """(index of the row, column) of each entry in bold, in the layout of params/tables."""
    words = {theirs: ours for theirs, (ours, _) in RENAMED.get(name, {}).items()}
    columns, rows = PAPER_TABLES[name]["columns"], PAPER_TABLES[name]["rows"]
    marks = [(row, column) for row in rows for column in row.get("bold", [])]
    if name in TRANSPOSED:
        others, first = columns[1:], columns[0]
        return sorted(
            (others.index(column), words.get(row["cells"][first], row["cells"][first]))
            for row, column in marks
        )
    return [(rows.index(row), words.get(column, column)) for row, column in marks]


def source_of(name: str) -> str:
    """What `source` has to say: where the table stands, from the source's own text."""
    if name in PAPER_TABLES:
        found = PAPER_TABLES[name]
        return f"He et al., ICCV 2019, {found['name']} (section {found['sections'][0]})"
    rows = [row["cells"] for part in READMES[name]["tables"] for row in part["rows"]]
    links = [next(value for key, value in row.items() if key.lower() == "download") for row in rows]
    if "hash" not in links[0]:
        zoo, folder = _folder(links[0]["cfg"], r"/(sssegmentation)/main/ssseg/configs/(\w+)/")
        return f"{zoo}, docs/modelzoo/{folder}/README.md"
    zoo, folder = _folder(links[0]["model"], r"/(mmsegmentation)/v0\.5/(\w+)/")
    months = sorted({_found(r"_(20\d{4})\d{2}_", link["model"]) for link in links})
    assert len(months) == 1, f"{name}: checkpoints of several months: {months}"
    names = "January February March April May June July August September October November December"
    month = names.split()[int(months[0][4:]) - 1]
    return f"{zoo}, configs/{folder}/README.md; checkpoints of {month} {months[0][:4]}"


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, f"{text}: expected {pattern}"
    return match[1]


def _folder(link: str, pattern: str) -> tuple[str, str]:
    match = re.search(pattern, link)
    assert match is not None, f"{link}: expected {pattern}"
    return match[1], match[2]


def _row(where: str, spec: TableSpec, ours: Row, theirs: Row) -> Iterator[str]:
    order = [column for column in ours if column in spec.columns]
    if order != [column for column in spec.columns if column in ours]:
        yield f"{where}: its columns stand in another order, {order}"
    for column in dict.fromkeys([*theirs, *ours]):
        if column == DEFAULTS:
            continue
        mine, other = said(ours.get(column)), theirs.get(column, "")
        if isinstance(other, dict):
            other = {label: link for label, link in other.items() if label != "hash"}
        place = f"{where}, column {column!r}"
        number = NUMBER.fullmatch(str(other)) if isinstance(mine, float) else None
        if number is None or float(number[1]) != mine:
            yield from _differ(place, mine, other)
        elif number[3] not in f"{row_label(ours)} {column} {spec.unit}":
            yield f"{place}: no unit in params/, {number[3]!r} in the source"


def said(entry: Any) -> Any:
    """What an entry of a table says was published: a number, a text, or links by their labels."""
    if isinstance(entry, CellSpec):
        return "" if entry.published is None else entry.published
    if entry is None:
        return ""
    return dict(LINK.findall(entry)) or entry if isinstance(entry, str) else entry


def _places(name: str, spec: TableSpec, theirs: list[Row]) -> Iterator[str]:
    """A number is printed to the places that its column has in the source."""
    for column in spec.columns:
        entries = [row.get(column) for row in spec.rows]
        if not any(isinstance(said(entry), float) for entry in entries):
            continue
        numbers = [NUMBER.fullmatch(str(row.get(column))) for row in theirs]
        source = max(len(number[2] or "") for number in numbers if number is not None)
        ours = spec.column_decimals.get(column, spec.decimals)
        if (ours != source) != ((name, column) in OTHER_PLACES):
            yield f"{name}, column {column!r}: printed to {ours} places, in the source to {source}"


def _differ(where: str, ours: Any, theirs: Any) -> Iterator[str]:
    if ours != theirs:
        yield f"{where}: {ours!r} in params/, {theirs!r} in the source"


# ----------------------------------------------------------------------------- checkpoints, links


def checkpoints(params: Params) -> Iterator[str]:
    """Every released file: its row, address, name and hash, and who names it."""
    unused = dict(params.checkpoints)
    for name, source in READMES.items():
        rows = [row["cells"] for part in source["tables"] for row in part["rows"]]
        spec = params.table(name)
        ours = [row for row in spec.rows if (name, row_label(row)) not in NO_ROW_OF_THE_SOURCE]
        for row, theirs in zip(ours, rows, strict=True):
            where = f"{name} ({row_label(row)})"
            asked = getattr(row.get(DEFAULTS), "checkpoint", None)
            found = unused.pop(asked, None)
            if found is None:
                yield f"{where}: checkpoint {asked!r} is not in checkpoints.yaml, or another row's"
                continue
            link = next(value for key, value in theirs.items() if key.lower() == "download")
            where, first = f"checkpoints.yaml: {asked}", found.files[0]
            yield from _differ(f"{where}: first address", first.urls[0], link["model"])
            yield from _differ(f"{where}: file", first.file, link["model"].rpartition("/")[2])
            yield from _differ(f"{where}: sha256_prefix", first.sha256_prefix, link.get("hash"))
            yield from _differ(f"{where}: zoo", found.zoo, spec.source.partition(",")[0])
            readme = f"{found.zoo} README"
            if not str(first.source).startswith(readme):
                yield f"{where}: source {first.source!r}; expected {readme!r} first"
            for file in found.files[1:]:
                if file.source not in NOT_OF_THE_README:
                    yield f"{where}: {file.file} is no file of a README; its source {file.source!r}"
            paths = {url.partition("/mmsegmentation/")[2] for url in first.urls}
            if len(first.urls) > 1 and len(paths) > 1:
                yield f"{where}: addresses of different files, {sorted(first.urls)}"
    yield from (f"checkpoints.yaml: {name} is no row's" for name in unused)


def links(params: Params) -> Iterator[str]:
    """Addresses that stand in no table of a source."""
    text = "\n".join(path.read_text() for path in sorted(params.folder.rglob("*.yaml")))
    stated = [link for source in SOURCES.values() for link in source["links"]]
    for link in stated:
        held = link.partition("://")[2] in text
        if not held and link not in LINKS_LEFT_OUT:
            yield f"{link}: not in params/; add it there, or to LINKS_LEFT_OUT"
        if held and link in LINKS_LEFT_OUT:
            yield f"{link}: in params/; take it out of LINKS_LEFT_OUT"
    yield from (f"{link}: in no source" for link in LINKS_LEFT_OUT if link not in stated)


def figures(params: Params) -> Iterator[str]:
    """A figure's `source` names it and a section that speaks of it."""
    sections = {figure["name"]: figure["sections"] for figure in PAPER["figures"]}
    for path in sorted((params.folder / "figures").glob("*.yaml")):
        source, name = load_yaml(path)["source"], path.stem.replace("figure", "Figure ")
        named = re.findall(r"section (\d\.\d)", source)
        if name not in source or not named or not set(named) <= set(sections[name]):
            yield f"{path.name}: source {source!r}; expected {name}, section {sections[name]}"


COMPARISONS = (tables, checkpoints, links, figures)
