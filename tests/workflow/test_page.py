"""`snakemake --report reports/report.html`: one file, which opens with the overview page."""

from __future__ import annotations

import json
import re

import pytest

CLAIMS = """\
claims:
  - id: ours-beats-fcn
    says: Ours is better
    where: {tables: [three]}
    predicate: {kind: order, cells: [three/fcn, three/ours]}
"""


@pytest.fixture(scope="module")
def reported(small, tmp_path_factory):
    """Tables `one` and `three`, which share their runs, are all tables here."""
    clone = small.copy(tmp_path_factory.mktemp("page") / "clone")
    for name in ("table1", "table2"):
        (clone.path / f"params/tables/{name}.yaml").unlink()
    (clone.path / "params/figures/figure3.yaml").unlink()  # it shows cells of those tables
    clone.write("params/claims.yaml", CLAIMS)
    clone.record = False
    result = clone.snakemake("reports/overview.html")
    assert result.code == 0, result.text
    assert "train" not in result.jobs
    targets = ("reports/overview.html", "reports/one.md", "reports/three.md")
    # No proxy, no network: what Snakemake embeds comes with its package.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    result = clone.snakemake("--report", "reports/report.html", *targets, **nowhere)
    assert result.code == 0, result.text
    return clone


def test_it_opens_with_the_overview(reported):
    """Snakemake shows the workflow's description first; ours is the page itself."""
    html = reported.read("reports/report.html")
    found = re.search(r"^\s*var workflow_desc = (.*);$", html, re.M)
    assert found is not None
    description = json.loads(found[1])
    for part in ('<main class="overview">', 'id="cell-three-ours"', "training loss", 'id="map"'):
        assert part in description
    assert reported.read("reports/overview.html").split("<main")[1][:4000] in description


def test_it_holds_the_page_and_every_table_for_download(reported):
    html = reported.read("reports/report.html")
    for name in ("overview.html", "one.md", "three.md"):
        assert f'"reports/{name}": {{"name": "{name}"' in html


def test_it_loads_nothing(reported):
    html = reported.read("reports/report.html")
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"?https?:", html)


def test_it_is_laid_out_for_narrow_screens(reported):
    """The default profile hands Snakemake our style sheet."""
    assert "@media (max-width: 50rem)" in reported.read("reports/report.html")


def test_the_page_shows_the_curves_and_is_not_written_twice(reported):
    page = reported.read("reports/overview.html")
    assert page.count("<figcaption>training loss") == 2, "one plot per table"
    assert "is not here" not in page
    result = reported.snakemake("reports/overview.html")
    assert "Nothing to be done" in result.text
