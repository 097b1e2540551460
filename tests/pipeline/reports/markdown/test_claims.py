"""`reports/claims.md` as a reader finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.markdown.claims import render_claims
from pipeline.reports.model.base import Preset
from pipeline.reports.model.claims import Claims, Judgement
from pipeline.reports.verdict import load_rules
from pipeline.spec.params import Params

ROOT = Path(__file__).parents[4]
PRESET = Preset(name="toy", title="toy scale", judged=False, shows="Nothing.")


@pytest.fixture(scope="module")
def results():
    params = Params(ROOT / "params")
    tables = {f"table{n}": params.table(f"table{n}") for n in range(1, 10)}
    return evaluate_claims(load_claims(ROOT / "params", tables), {}, load_rules(ROOT / "params"))


@pytest.fixture(scope="module")
def text(results):
    return render_claims(results, PRESET)


def section(text, title):
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def listed(text):
    return re.findall(r"^- `(.+?)`", text, re.MULTILINE)


def test_what_the_paper_says_against_itself_stands_apart_from_our_readings(text):
    assert listed(section(text, "What the paper says against itself")) == ["without-dcms-r101"]
    assert listed(section(text, "Readings of ours that do not hold on its numbers")) == [
        "dilation-rises-then-declines-regular",
        "dilation-rises-then-declines-depthwise",
        "same-setting-r101",
        "motorbike-outperforms",
        "bold-table7-motorbike",
    ]


def test_the_head_counts_and_says_what_the_words_mean(results, text):
    stated = [result for result in results.root if not result.bold]
    assert f"{len(stated) - 6} hold, 5 do not hold, 1 not comparable; {len(stated)} claims" in text
    assert "30 hold, 1 do not hold; 31 claims" in text
    assert "one seed decides nothing" in " ".join(text.split())
    assert "one seed decides nothing" not in render_claims(
        results, PRESET.model_copy(update={"judged": True})
    )


def test_a_line_of_a_claim(results):
    (found,) = [result for result in results.root if result.claim == "flip-improves"]
    ours = Judgement(status="inconclusive", margin=0.25, interval=(-0.103, 0.603))
    line = render_claims(Claims([found.model_copy(update={"ours": ours})]), PRESET).split(
        "| `flip-improves`"
    )[1]
    assert [part.strip() for part in line.split("\n")[0].split("|")[1:-1]] == [
        "section 4.2, Training and evaluation strategies, sentence 4; Table 6 (flip)",
        *("holds", "+0.42", "inconclusive", "+0.25", "-0.10 to +0.60"),
        "`table6`: ds-flip, ds",
    ]
