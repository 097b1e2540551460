"""The overview page of made-up reports: whole, self-contained, safe, the same every time."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from pipeline.errors import ResultError
from pipeline.reports.html.cells import STATUSES, anchor_of
from pipeline.reports.html.inputs import PNG
from pipeline.reports.html.page import render_page
from pipeline.reports.model.claims import Claims
from pipeline.reports.model.report import Report
from pipeline.results.schemas import HistoryRow
from tests.pipeline.reports.made import a_claim

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> --> </style> {{ 7*7 }}'
CLAIM = a_claim(
    reading="better is read as higher",
    paper={"status": "holds", "margin": 9.5},
    ours={"status": "inconclusive", "margin": 0.5, "interval": [-0.25, 1.25]},
)


class Page(HTMLParser):
    """Tags with their attributes, ids, and the text of each element of a class."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def values(self, attribute):
        return [found[attribute] for _, found in self.tags if attribute in found]

    def map(self):
        """anchor -> class of its square."""
        return {
            found["href"].removeprefix("#"): found["class"].removeprefix("s ")
            for tag, found in self.tags
            if tag == "a" and (found.get("class") or "").startswith("s ")
        }


@pytest.fixture
def histories(report):
    rows = [HistoryRow(iteration=i, loss=2.0 / i, lr=0.1) for i in range(1, 900)]
    rows.append(HistoryRow(iteration=900, val_miou=0.7))
    return {run.run: rows for cell in report.cells for run in cell.runs}


def page_of(report, histories=None, claims=(), figure=None):
    return render_page({"toy": report}, Claims([*claims]), histories or {}, figure)


def with_cells(report, *changes, **further):
    """The report with other entries, of its first, second ... cell and of itself."""
    content = report.model_dump()
    cells = [row[c] for row in content["rows"] for c in ("A", "B") if isinstance(row.get(c), dict)]
    for cell, change in zip(cells, changes, strict=False):
        cell.update(change)
    return Report.model_validate(content | further)


@pytest.fixture
def html(report, histories):
    return page_of(report, histories, [CLAIM])


def test_nothing_is_loaded_and_nothing_runs(html):
    page = Page(html)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base"}
    targets = [*page.values("href"), *page.values("src"), *page.values("xlink:href")]
    assert targets
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert not re.search(r"@import|url\((?!#)|https?://", html)
    assert "<!--" not in html, "Snakemake puts the page inside a script element"
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]


def test_it_is_made_for_a_phone(html):
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in Page(
        html
    ).tags


def test_ids_are_unique_and_every_inner_link_arrives(html):
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [*page.values("href"), *page.values("xlink:href")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", html)) <= set(ids)


def test_every_cell_has_its_square_its_numbers_and_its_run(html, report):
    page = Page(html)
    assert list(page.map()) == [anchor_of(cell) for cell in report.cells]
    for cell in report.cells:
        for run in cell.runs:
            assert run.run in html
            assert run.weights_sha256[:12] in html
    assert re.search(r'id="cell-toy-wide">70.00</td><td [^>]*>71.00 ± 1.41</td>.*>\+1.00 <', html)


def test_squares_say_what_the_report_says(report, histories):
    wide = {"verdict": {"status": "not reproduced", "interval": [0.5, 1.5], "remark": "better"}}
    failed = {"log": "logs/runs/abc/train.log", "error": "no memory"}
    changed = with_cells(report, wide, {}, {"source": "failed", "failed": failed})
    html = page_of(changed, histories)
    assert list(Page(html).map().values()) == ["not-reproduced", "pending", "failed"]
    assert "difference between +0.50 and +1.50; better" in html
    assert "logs/runs/abc/train.log" in html


@pytest.mark.parametrize("status", [name for name in STATUSES if name not in ("pending", "failed")])
def test_every_verdict_has_a_colour_and_a_letter(report, status):
    html = page_of(with_cells(report, {"verdict": {"status": status}}))
    assert Page(html).map()["cell-toy-wide"] == status.replace(" ", "-")
    assert f".overview .{status.replace(' ', '-')} {{" in html or status == "not comparable"


def test_an_unknown_verdict_is_an_error_and_no_grey_square(report):
    with pytest.raises(ResultError, match="toy/wide: unknown verdict 'splendid'"):
        page_of(with_cells(report, {"verdict": {"status": "splendid"}}))


def test_at_an_unjudged_preset_the_plot_says_that_it_compares_nothing(html, report):
    assert "<b>no comparison</b>" in html
    judged = report.preset.model_copy(update={"judged": True})
    assert "<b>no comparison</b>" not in page_of(report.model_copy(update={"preset": judged}))


def test_hostile_text_stays_text(report, histories):
    wide = {"cell": f"toy/{HOSTILE}", "note": HOSTILE}
    wide["verdict"] = {"status": "inconclusive", "remark": HOSTILE}
    preset = report.preset.model_copy(update={"shows": HOSTILE})
    changed = with_cells(report, wide, title=HOSTILE, notes=[HOSTILE], preset=preset)
    changed.rows[0]["Kind"] = HOSTILE
    claim = a_claim(says=HOSTILE, reading=HOSTILE, note=HOSTILE)
    test_nothing_is_loaded_and_nothing_runs(page_of(changed, histories, [claim]))


def test_equal_reports_give_equal_bytes(html, report, histories):
    assert page_of(report, histories, [CLAIM]) == html


def test_a_long_curve_is_thinned_to_its_plot(html):
    assert len(html) < 100_000


def test_a_run_without_history_is_named(report):
    html = page_of(report)
    assert "history.jsonl</code> is not here" in html


def test_a_claim_has_its_reading_and_its_interval(html):
    claims = html.split('<ul class="claims">')[1].split("</ul>")[0]
    assert "Wide is better. " in claims
    assert "Our reading: better is read as higher." in claims
    assert "ours: inconclusive, margin +0.50 (-0.25 to +1.25)" in claims


def test_figure_3_stands_on_the_page_if_there_is_one(report, tmp_path, html):
    assert 'id="figure3"' not in html
    page = Page(page_of(report, figure=PNG))
    assert [src[:22] for src in page.values("src")] == ["data:image/png;base64,"]
