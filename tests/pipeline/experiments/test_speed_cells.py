"""Cells for speed and memory, sub-tables, and rows with defaults, on the toy tables."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import ResultError
from pipeline.inspection.plan import render_plan
from pipeline.inspection.show.lineage import render_show
from pipeline.reports.build import build_report, device_text
from pipeline.reports.dvc_views import points_of
from pipeline.reports.html.page import linked, render_page
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.claims import Claims
from pipeline.reports.verdict import NOT_COMPARABLE
from pipeline.results.cells import read_cell
from pipeline.results.failures import failure_of
from pipeline.results.schemas import Timed
from pipeline.spec.params import Params


@pytest.fixture
def measured(zoo, finish, tmp_path):
    """Everything measured: 12.5 frames a second, 3 GiB, mIoU 50 and 40 %."""
    experiment = zoo()
    for cell, miou in zip(experiment.cells[2:], (0.5, 0.4), strict=True):
        finish(cell.evaluations[0], miou)
    (speed,) = experiment.speeds
    path = tmp_path / speed.path
    path.parent.mkdir()
    content = {
        "speed": speed.key,
        "frames_per_second": 12.5,
        "memory_bytes": 3 * 2**30,
        "memory_kind": "process peak RSS",
        "device": {"type": "cpu", "name": "a processor", "threads": 2},
    }
    path.write_text(json.dumps(content))
    return experiment


def device_of(**content):
    measured = {"speed": "0" * 16, "frames_per_second": 1.0, "memory_bytes": 1}
    return device_text(Timed.model_validate(measured | content))


def test_speed_is_that_of_the_form_that_evaluations_use(zoo, edit):
    (plain,) = {speed.config.optimised for speed in zoo().speeds}
    edit("presets/toy.yaml", "execution:", "optimised_from: 40\nexecution:")
    (fast,) = {speed.config.optimised for speed in zoo().speeds}
    assert (plain, fast) == (False, True)
    gpu = {"type": "cuda", "name": "a GPU"}
    assert device_of(device=gpu, form="optimised") == "cuda, a GPU, optimised form"
    assert device_of(device=gpu, form="plain") == "cuda, a GPU"
    text = "cuda, a GPU, TF32 in convolutions, optimised form"
    assert device_of(device=gpu | {"tf32": ["convolutions"]}, form="optimised") == text


# ------------------------------------------------------------------------------------- reports


def test_a_report_has_a_sub_table_for_each_heading(measured, tmp_path):
    text = render_markdown(build_report(measured, "zoo", tmp_path))
    rooms, streets = text.split("\n## Rooms\n")[1].split("\n## Streets\n")
    assert rooms.splitlines()[3].split("|")[1:-1] == [
        *(" first  ", "             7.0 ", "                3.00 "),
        *("            3.66 ", "               12.50 "),
        *("            70.00 ", "  50.00 ", " -20.00 "),
        " [model](https://example.org/a.pth) &#124; [log](https://example.org/a.log) ",
    ]
    assert "| second |" in streets and "first" not in streets.split("\n\n")[1]


def test_the_device_is_named_and_nothing_of_it_is_judged(measured, tmp_path):
    report = build_report(measured, "zoo", tmp_path)
    text = render_markdown(report)
    device = "cpu, a processor, 2 threads (memory: process peak RSS)"
    assert report.devices == [device]
    assert f"ours for this one ({device}): they have no Δ and are never judged" in text
    memory, fps, *_ = report.cells
    for cell in (memory, fps):
        assert (cell.source, cell.difference, cell.spread) == ("profiled", None, None)
        assert cell.verdict.status == NOT_COMPARABLE


def test_a_mixed_precision_model_says_what_it_was_computed_in():
    asked = {"precision": "amp"}
    gpu = {"device": {"type": "cuda", "name": "a GPU"}, "amp": True}
    cpu = {"device": {"type": "cpu", "name": "a processor"}, "amp": False}
    assert device_of(**gpu, config=asked) == "cuda, a GPU, mixed precision"
    assert device_of(**cpu, config=asked) == "cpu, a processor, float32 for mixed precision"
    assert device_of(**cpu, config={"precision": "fp32"}) == "cpu, a processor"


def test_at_the_published_scale_speed_is_not_judged_either(zoo, rules):
    rules.check(zoo("full"))  # and needs no rule


def test_dvc_and_the_page_compare_no_two_devices(measured, tmp_path):
    report = build_report(measured, "zoo", tmp_path)
    assert points_of(report).splitlines() == [
        "cell,published,ours",
        "wide,70.0,50.0",
        "deep,60.0,40.0",
    ]
    html = render_page({"zoo": report}, Claims([]), {})
    assert '<a href="https://example.org/a.pth" rel="noreferrer">model</a> | ' in html
    assert ">Rooms</th>" in html and ">Streets</th>" in html
    assert "mIoU, %</b>, 2 cells" in html and "frames per second" not in html.split("<h2>Zoo")[0]


def test_a_label_that_is_no_link_stays_text():
    assert linked("[x](javascript:alert(1))") == [("[x](javascript:alert(1))", None)]
    assert linked("a &#124; b") == [("a | b", None)]


def test_plan_and_show_know_measurements(measured, folder, tmp_path):
    text = render_plan(measured, Params(folder).costs(), tmp_path)
    assert "4 cells, 2 training runs, 2 evaluations, 14 iterations" in text
    assert "1 measurements of speed and memory, of which 1 done" in text
    text = render_show(measured, "zoo/wide-memory", tmp_path)
    assert "zoo/wide-memory, zoo/wide-fps" in text
    assert "2 crops of 32 x 48 (height x width) on one device, fp32" in text
    assert "cpu, a processor, 2 threads" in text and "never judged" in text


def test_a_foreign_measurement_is_refused(measured, tmp_path):
    (speed,) = measured.speeds
    path = tmp_path / speed.path
    path.write_text(path.read_text().replace(speed.key, "0" * 16))
    with pytest.raises(ResultError, match="of another measurement"):
        read_cell(measured.cells[0], measured, tmp_path)


def test_a_measurement_without_a_result_is_pending_or_failed(zoo, tmp_path):
    experiment = zoo()
    cell = experiment.cells[0]
    assert read_cell(cell, experiment, tmp_path).outcome == "pending"
    mark = tmp_path / "logs" / "speed" / f"{cell.job.key}.failed.json"
    assert failure_of(cell, experiment, tmp_path) is None
    assert not mark.exists()
