"""Whatever stands in the files of results: a number, or one line; never a traceback or a command.

A few hundred seeded changes of files as a finished study has them, one at a time.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dmnet.errors import DMNetError
from dmnet.files import read_json, write_json, write_text
from dmnet.inference.metrics import ConfusionMatrix
from dmnet.text import CONTROL
from pipeline.inspection.show.lineage import render_show
from pipeline.inspection.status import render_status
from pipeline.inspection.verify import verify
from pipeline.reports.build import build_report
from pipeline.reports.claims.file import load_claims
from pipeline.reports.claims.judged import evaluate_claims
from pipeline.reports.html.inputs import read_histories, read_inputs
from pipeline.reports.html.page import render_page
from pipeline.reports.markdown.claims import render_claims
from pipeline.reports.markdown.table import render_markdown
from pipeline.reports.model.base import json_of
from pipeline.reports.write import read_reports, write_report

CLAIMS = """\
claims:
  - id: wide-wins
    says: Wide is better than quick
    where: {tables: [toy]}
    predicate: {kind: pairwise, left: [toy/wide], right: [toy/quick]}
"""
HTML = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TERMINAL = "\x1b]0;OWNED\x07\x1b[2J\x1b[31mred"
CHEAP = ["report", "summary", "status", "show", "verify"]  # to run
VALUES = [
    *(None, True, -1, 0, 2, 1.5, 10**12, 10**18, 10**30, -(2**62), 1e308, float("nan"), -0.0),
    *(float("inf"), "", "0", "-", "--output=precious", "../../precious", "/etc/passwd", "a/b"),
    *("x" * 10_000, HTML, TERMINAL, "a|b\n`c`", "\ud800", "\u202e", "NaN", "0" * 64, "0" * 40),
    *([], {}, [None], [[]], [0, "a"], {"": 0}, {"sha256": 1}, [1] * 300),
]


def places(value, path=()):
    """The path of every value within a JSON value, but of itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def changed(text, draw):
    """The file's text with one value replaced or removed, or with damaged bytes."""
    kind = draw.random()
    if kind < 0.1:
        return text[: draw.randrange(len(text))]
    if kind < 0.15:
        at = draw.randrange(len(text))
        return (
            text[:at] + draw.choice(["[" * 50_000, "\x00", "é", '"', "NaN", "9" * 5000]) + text[at:]
        )
    *before, line = text.splitlines()[: draw.randint(1, 2)] if text.count("}\n{") else [text]
    content = json.loads(line)
    found = list(places(content))
    if kind < 0.2 or not found:
        return "\n".join([*before, json.dumps(draw.choice(VALUES))])
    # Deep in a matrix one place is like another.
    *path, key = draw.choice([place for place in found if len(place) < 5] or found)
    inner = content
    for step in path:
        inner = inner[step]
    if kind < 0.35:
        del inner[key]
    else:
        inner[key] = draw.choice(VALUES)
    return "\n".join([*before, json.dumps(content)])


@pytest.fixture
def experiment(zoo, build, folder):
    """Three tables, two seeds; `zoo` brings what a table with speed and memory needs."""
    zoo()
    (folder / "claims.yaml").write_text(CLAIMS)
    return build("toy", 2, ("toy", "twin", "zoo"))


@pytest.fixture
def further(experiment, build):
    """With a third seed, of which one run was interrupted and one failed."""
    return build("toy", 3, tuple(experiment.tables))


@pytest.fixture
def claims(folder, experiment):
    return load_claims(folder, experiment.tables)


@pytest.fixture
def study(experiment, further, finish, folder, rules, claims, tmp_path, monkeypatch):
    """The folder of a finished study, with every file that the commands below read."""
    monkeypatch.chdir(tmp_path)
    for number, evaluation in enumerate(experiment.evaluations.values()):
        counts = ConfusionMatrix.empty(2)
        counts.counts[:] = [[60 + number, 3], [4, 7]]
        config = evaluation.config.model_dump(mode="json")
        trained = {
            "key": evaluation.run_key,
            "history": {"file": "history.jsonl", "sha256": "a" * 64},
            "code": {"commit": "c" * 40, "modified": True, "diff_sha256": "d" * 64},
            "environment": {
                "device": {"type": "cpu", "name": "a processor", "tf32": []},
                "processor": {"name": "a processor", "cores": 2, "threads": 1},
                "packages": {"torch": "2.13.0"},
                "python": "3.11.7",
            },
            "repeat": "snakemake runs/x/train.json",
            "seconds": 1.5,
            "processes": [1],
        }
        measured = counts.summary()
        path = finish(evaluation, measured.pop("miou"), trained, form="plain", **measured)
        write_json(path, {**read_json(path), "evaluation": config})
        run = Path("runs", evaluation.run_key)
        write_json(run / "config.json", experiment.runs[run.name].job.model_dump(mode="json"))
        rows = [{"iteration": 1, "loss": 0.5, "lr": 0.1}, {"iteration": 2, "val_miou": 0.4}]
        write_text(run / "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for speed in experiment.speeds:
        content = {
            "speed": speed.key,
            "config": speed.config.model_dump(mode="json"),
            "frames_per_second": 12.5,
            "memory_bytes": 2**30,
            "device": {"type": "cpu", "name": "a processor", "threads": 2},
            "amp": False,
        }
        write_json(Path(speed.path), content)
    running, failed = sorted(further.runs.keys() - experiment.runs.keys())[:2]
    progress = {"iteration": 3, "eta_seconds": 61.0, "val_miou": 0.25}
    write_json(Path("runs", running, "progress.json"), progress)
    write_json(Path("logs/runs", failed, "train.failed.json"), {"error": "out of memory"})
    tables = {table: build_report(experiment, table, rules=rules) for table in experiment.tables}
    for report in tables.values():
        write_report(report, Path("reports"))
    write_text(Path("reports/claims.json"), json_of(evaluate_claims(claims, tables, rules)))
    write_text(Path("precious"), "precious")
    return tmp_path


def commands(experiment, further, claims, rules):
    """What reads results: the text that each command shows."""

    def page():
        reports, judged, figure = read_inputs(list(experiment.tables), Path("reports"), "toy", 2)
        return render_page(reports, judged, read_histories(reports.values()), figure)

    def summary():
        reports = read_reports(experiment.tables, Path("reports"))
        judged = evaluate_claims(claims, reports, rules)
        return json_of(judged) + render_claims(judged, reports["toy"].preset)

    def report():
        made = [build_report(experiment, table, rules=rules) for table in experiment.tables]
        return "".join(json_of(content) + render_markdown(content) for content in made)

    def check():
        findings = verify(quick=True)
        return "\n".join([*findings.wrong, *findings.absent])

    return {
        "report": report,
        "summary": summary,
        "status": lambda: render_status(experiment) + render_status(further),
        "show": lambda: "".join(render_show(experiment, cell.id) for cell in experiment.cells),
        "verify": check,
        "page": page,
    }


def test_an_unchanged_study_has_numbers_everywhere(experiment, further, claims, rules, study):
    shown = {name: run() for name, run in commands(experiment, further, claims, rules).items()}
    assert (
        "8 done" in shown["status"]
        and "out of memory" in shown["status"]
        and "pending" not in shown["report"]
    )


@pytest.mark.parametrize("seed", range(3))
def test_changed_results_end_in_numbers_or_one_line(
    experiment, further, claims, rules, study, seed
):
    draw = random.Random(seed)
    files = sorted(path for path in study.rglob("*.json*") if "params" not in path.parts)
    run = commands(experiment, further, claims, rules)
    refused = 0
    for _ in range(60):
        file, name = draw.choice(files), draw.choice(["page", *4 * CHEAP])
        whole = file.read_text()
        damaged = changed(whole, draw)
        file.write_text(damaged, errors="surrogatepass")
        what = f"{name} with {file.relative_to(study)}: {damaged[:3000]}"
        try:
            shown = run[name]()
        except DMNetError as error:
            refused += 1
            shown = str(error)
            assert "\n" not in shown and len(shown) < 1000, what
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}: {what}") from error
        if name != "verify":  # what it finds is made visible where it is printed
            assert not CONTROL.search(shown) and HTML not in shown, what
        assert Path("precious").read_text() == "precious"
        file.write_text(whole)
    assert refused > 5
