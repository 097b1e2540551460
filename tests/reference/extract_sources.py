"""The facts that the five sources state, each with its place: tables, links, hashes, numbers.

    .venv/bin/python tests/reference/extract_sources.py FOLDER

FOLDER holds the sources' texts, one `*.txt` each: the paper and the READMEs. They are not part of
this repository. Writes tests/golden/sources.json: per file tables, paragraphs, numbers, links.
Needs nothing but Python and reads nothing of `params/`, so that an error there cannot stand here
too; the same texts give the same bytes.

What the texts look like:

- A README's table has rows between bars, below a heading. A link is `[label](address)`.
- A table of the paper has tabs between its cells and its caption, "Table N. ...", below it. Bold
  print is `<b>...</b>`. A first cell that spans several rows stands in the first of them only.
- The paper's running text has sections, some with bold headings at a paragraph's start. Pages and
  tables cut paragraphs in two. A number's place is its sentence in its paragraph below its heading.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "sources.json"

HEADING = re.compile(r"#+ +(.+)")
LINK = re.compile(r"\[(\w+)\]\((\S+?)\)")
ADDRESS = re.compile(r"https?://[^\s\"'<>)]+")
HASH = re.compile(r"-([0-9a-f]{8})\.pth$")  # OpenMMLab: the first digits of the file's SHA-256
CAPTION = re.compile(r"((?:Table|Figure) \d+)\. ")
MENTION = re.compile(r"(?:Table|Figure) \d+(?!\.\d)")
SET = re.compile(r"\{\d+(?:,\d+)*\}")
PART = re.compile(r"\*\*([^*]+)\.\*\*")
SECTION = re.compile(r"(\d+(?:\.\d+)*)\. ")
CITATION = re.compile(r" ?\[\d+(?:, ?\d+)*\]")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|v\.s)\.")
SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z])")
# Sets such as {1,3}, sizes such as 512x512, fractions, numbers; no digits of names, no "1st".
NUMBER = re.compile(
    r"\{\d+(?:,\d+)*\}"
    r"|(?<![\w.\-/^_])(?:\d+x\d+|\d+/\d+|\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?[KGM%]?)(?![\w/]|\.\d)"
)
ONE_LINE = {"cells", "sentence", "sentences"}  # what has one of these keys is written in one line
YEAR = re.compile(r"(?:19|20)\d\d")


def main(folder: Path) -> None:
    GOLDEN.write_text(written(folder))


def written(folder: Path) -> str:
    """The content of sources.json for the texts of `folder`. FileNotFoundError without any."""
    texts = sorted(folder.glob("*.txt"))
    if not texts:
        raise FileNotFoundError(f"{folder}: no *.txt; give the folder with the sources' texts")
    found = {path.stem: facts(path.read_text()) for path in texts}
    return _json(found) + "\n"


def _json(value: Any, indent: str = "") -> str:
    """Indented JSON in which a row, a sentence and a list of texts are one line each."""
    if isinstance(value, dict) and not ONE_LINE & set(value):
        inner = [f"{json.dumps(key)}: {_json(entry, indent + ' ')}" for key, entry in value.items()]
        ends = "{}"
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        inner = [_json(entry, indent + " ") for entry in value]
        ends = "[]"
    else:
        return json.dumps(value, ensure_ascii=False)
    lines = f",\n{indent} ".join(inner)
    return f"{ends[0]}\n{indent} {lines}\n{indent}{ends[1]}"


def facts(text: str) -> dict[str, Any]:
    """Of one source. One with numbered sections is the paper, any other a README."""
    body = text.partition("\n## References")[0]
    headings = [found[1] for found in map(HEADING.fullmatch, body.splitlines()) if found]
    paper = any(map(SECTION.match, headings))
    return {
        "title": headings[0],
        "tables": paper_tables(body) if paper else readme_tables(body),
        "figures": paper_figures(body) if paper else [],
        "paragraphs": paper_paragraphs(body) if paper else [],
        "numbers": paper_numbers(body) if paper else [],
        "links": _links(body),
    }


# -------------------------------------------------------------------------------------- READMEs


def readme_tables(text: str) -> list[dict[str, Any]]:
    """Each with the heading above it, its columns and its rows."""
    tables: list[dict[str, Any]] = []
    heading, rows = "", 0
    for line in text.splitlines():
        if found := HEADING.fullmatch(line):
            heading = found[1]
        if not line.startswith("|"):
            rows = 0
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if rows == 0:
            tables.append({"name": heading, "columns": cells, "rows": []})
        elif rows > 1:  # the row between them is a line of dashes
            row = zip(tables[-1]["columns"], map(_linked, cells), strict=True)
            tables[-1]["rows"].append({"cells": dict(row)})
        rows += 1
    return tables


def _linked(cell: str) -> Any:
    """A text as it is; links as label -> address, and the hash in a checkpoint's name."""
    found = dict(LINK.findall(cell))
    if not found:
        return cell
    rest = LINK.sub("", cell).replace("&#124;", "").strip()
    assert not rest, f"a cell has a text beside its links: {rest!r}"
    digits = HASH.search(found.get("model", ""))
    return found | ({"hash": digits[1]} if digits else {})


def _links(text: str) -> list[str]:
    """The addresses that stand in no table, in reading order."""
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    return [address.rstrip(".") for line in lines for address in ADDRESS.findall(line)]


# ------------------------------------------------------------------------------------ the paper


def paper_tables(text: str) -> list[dict[str, Any]]:
    """Each with the sections that speak of it, its columns and its rows, in the paper's order."""
    sections = _mentions(text)
    tables: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    for line in text.splitlines():
        if "\t" in line:
            rows.append([_plain(cell) for cell in line.split("\t")])
        elif rows and (caption := CAPTION.match(line)):
            tables.append({"name": caption[1], "sections": sections[caption[1]], **_grid(rows)})
            rows = []
    assert not rows, f"no caption below the table that begins with {rows[0]}"
    return tables


def paper_figures(text: str) -> list[dict[str, Any]]:
    """Each with the sections that speak of it; pictures are not in the text."""
    found = sorted(_mentions(text).items())
    return [{"name": name, "sections": where} for name, where in found if name.startswith("Figure")]


def _mentions(text: str) -> dict[str, list[str]]:
    """Table or figure -> the sections that speak of it, in reading order."""
    sections: dict[str, list[str]] = defaultdict(list)
    for section, _, paragraphs in _parts(text):
        for name in MENTION.findall(" ".join(paragraphs)):
            if section not in sections[name]:
                sections[name].append(section)
    return sections


def _grid(rows: list[list[str]]) -> dict[str, Any]:
    columns, *body = rows
    found: list[dict[str, Any]] = []
    above = [""] * len(columns)
    for row in body:
        # One row of Table 2 is written one cell too far to the left, below the cell that spans it.
        shifted = row[-1] == "" and SET.fullmatch(row[0]) and SET.fullmatch(above[1])
        cells = ["", *row[:-1]] if shifted else list(row)
        cells[0] = cells[0] or above[0]
        texts = {
            column: re.sub("</?b>", "", cell) for column, cell in zip(columns, cells, strict=True)
        }
        bold = [column for column, cell in zip(columns, cells, strict=True) if "<b>" in cell]
        found.append({"cells": texts} | ({"bold": bold} if bold else {}))
        above = cells
    return {"columns": columns, "rows": found}


def paper_numbers(text: str) -> list[dict[str, Any]]:
    """The numbers of each sentence and caption: where it stands, and which they are."""
    found = []
    for section, heading, paragraphs in _parts(text):
        for paragraph, content in enumerate(paragraphs, 1):
            for sentence, words in enumerate(_sentences(content), 1):
                plain = MENTION.sub("", CITATION.sub("", words))
                numbers = [text for text in NUMBER.findall(plain) if not YEAR.fullmatch(text)]
                if numbers:
                    place = {"section": section, "heading": heading, "paragraph": paragraph}
                    found.append(place | {"sentence": sentence, "numbers": numbers})
    return found


def paper_paragraphs(text: str) -> list[dict[str, Any]]:
    """How many sentences each paragraph has, by section and heading."""
    return [
        {"section": section, "heading": heading, "sentences": [len(_sentences(p)) for p in found]}
        for section, heading, found in _parts(text)
    ]


def _sentences(paragraph: str) -> list[str]:
    hidden = ABBREVIATION.sub(lambda match: match[1].replace(".", "·") + "·", paragraph)
    return SENTENCE.split(hidden)


def _parts(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """(section, heading, paragraphs) of the abstract and the numbered sections; a caption is one.

    What stands before the abstract, footnotes, formulae and acknowledgements are left out.
    """
    section, heading = "abstract", ""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for block in re.split(r"\n\s*\n", text.partition("## Abstract\n")[2]):
        line = _plain(" ".join(block.split("\n")))
        if title := HEADING.fullmatch(line):
            number = SECTION.match(title[1])
            section, heading = (number[1] if number else title[1]), ""
        elif caption := CAPTION.match(line):
            found[section, f"caption of {caption[1]}"].append(line[caption.end() :])
        elif "\t" not in line and not block.startswith(("<sup>", "\\*", "$$")):
            bold = PART.match(line)
            heading = bold[1] if bold else heading
            words = re.sub("<sup>.*?</sup>", "", line[bold.end() :].strip() if bold else line)
            paragraphs = found[section, heading]
            if paragraphs and (words[:1].islower() or not paragraphs[-1].endswith((".", "*"))):
                cut = paragraphs[-1]
                joined = cut.removesuffix("-") if re.search(r"\w-$", cut) else f"{cut} "
                paragraphs[-1] = joined + words
            else:
                paragraphs.append(words)
    for (where, title), paragraphs in found.items():
        if title != "Acknowledgements":
            yield where, title, paragraphs


def _plain(text: str) -> str:
    """Formulae as one would type them: $\\{1, 3\\}$ is {1,3}, $512 \\times 512$ is 512x512."""
    text = text.replace("$", "").replace("\\{", "{").replace("\\}", "}").strip()
    text = re.sub(r"(?<=\d) ?(?:\\times|\*) ?(?=\d)", "x", text)
    text = re.sub(r"\{\d+(?:, ?\d+)*\}", lambda match: match[0].replace(" ", ""), text)
    return re.sub(r" +", " ", text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
