"""`python -m pipeline plan`: cells, shared runs and the cost, before anything runs."""

from __future__ import annotations

import re


def totals(text):
    """(cells, runs, evaluations, iterations) of a plan."""
    found = re.search(
        r"^(\d+) cells, (\d+) training runs, (\d+) evaluations, ([\d,]+) iterations$", text, re.M
    )
    assert found is not None, text
    return tuple(int(number.replace(",", "")) for number in found.groups())


def test_the_paper_preset_counts_the_papers_epochs_as_iterations(template):
    """80 epochs of 10,582 images in batches of 16: 52,910 iterations, on a GPU."""
    result = template.pipeline("plan", preset="paper")
    assert result.code == 0, result.text
    assert totals(result.text) == (27, 26, 26, 26 * 52910)
    hours = re.search(r"^Estimated training: ([\d,.]+) GPU-hours", result.text, re.M)
    assert hours is not None
    rows = re.findall(r"^[0-9a-f]{16} +0 +\w+ +(\d+) +([\d.]+)", result.text, re.M)
    assert {iterations for iterations, _ in rows} == {"52910"}
    per_run = [float(hour) for _, hour in rows]
    assert len(per_run) == 26 and min(per_run) > 1
    assert abs(sum(per_run) - float(hours[1].replace(",", ""))) < 0.05 * 27  # of rounding


def test_a_table_is_named_as_such_or_by_its_report(template):
    by_name = template.pipeline("plan", "table2").text
    assert totals(by_name) == (15, 15, 15, 15 * 6)
    assert template.pipeline("plan", "reports/table2.md").text == by_name


def test_the_shared_run_lists_both_of_its_cells(template):
    text = template.pipeline("plan").text
    assert "table1/context-aware-1-3-5-7, table2/context-aware" in text


def test_what_is_done_is_not_counted_again(whole):
    text = whole.pipeline("plan", "table2").text
    assert re.search(r"of which still to do 0\.0 ", text)
    assert whole.pipeline("status").text.startswith(
        "Preset tiny, seeds 1: 0 running, 0 failed, 0 interrupted, 15 done, 11 pending; "
        "15 of 26 evaluations"
    )


def test_seeds_multiply_the_runs_and_not_the_cells(template):
    assert totals(template.pipeline("plan", "table2", "--seeds", "3").text) == (15, 45, 45, 270)


def test_an_unknown_table_is_named_with_the_known_ones(template):
    result = template.pipeline("plan", "tabel2")
    assert result.code == 1
    assert result.text.startswith("error: the target: unknown table 'tabel2'")
    assert "table1, table2" in result.text
