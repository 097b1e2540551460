"""The names of files and folders stand in one module, and are those that dmnet writes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmnet.data import manifest
from dmnet.training.run import WRITTEN
from pipeline import paths

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for path in (ROOT / "pipeline").rglob("*.py") if path.name != "paths.py"]
RULES = [ROOT / "Snakefile", *(ROOT / "pipeline" / "rules").glob("*.smk")]
FILES = (
    *(paths.CONFIG, paths.TRAINED, paths.FINISHED, paths.IMPORTED),
    *(paths.WEIGHTS, paths.HISTORY, paths.PROGRESS, manifest.MANIFEST),
)
FOLDERS = "|".join((*paths.SHARED, paths.EVALUATIONS, paths.LOGS, paths.BENCHMARKS))
# A message may say `runs/` alone. Of `data/` and `reports/` some files are named by people.
IN_A_FOLDER = re.compile(rf"(?<![\w/.])(({FOLDERS})/[\w{{*.]|({paths.DATA}|{paths.REPORTS})/\{{)")
HELP = ["write a run's config.json"]


def texts(path: Path) -> Iterator[str]:
    """Every string of the code but docstrings; `{}` stands in a value's place."""
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            values = [part for part in node.values if not isinstance(part, ast.Constant)]
            yield "".join("{}" if part in values else str(part.value) for part in node.values)
            waiting += values
        else:
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_spells_a_path_of_its_own(path: Path) -> None:
    spelled = [
        text
        for text in texts(path)
        if any(name in text for name in FILES) or IN_A_FOLDER.search(text)
    ]
    assert [text for text in spelled if text not in HELP] == [], "pipeline/paths.py has names"


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_no_rule_spells_an_input_an_output_or_a_log(path: Path) -> None:
    """Within the text of a command a folder may stand: Snakemake compares that text."""
    text = path.read_text()
    folders = rf'["\']({FOLDERS}|{paths.DATA}|{paths.REPORTS})/[\w{{]'
    assert not re.findall(folders, text)
    assert not [name for name in FILES if name in text]


def test_the_names_cost_nothing() -> None:
    tree = ast.parse(Path(paths.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["from __future__ import annotations"]


def test_dmnet_writes_these_files() -> None:
    assert {*WRITTEN} == {
        *(paths.TRAINED, paths.FINISHED, paths.WEIGHTS, paths.HISTORY, paths.PROGRESS)
    }
    assert paths.data_manifest("voc") == f"{paths.dataset('voc')}/{manifest.MANIFEST}"
    released = (ROOT / "dmnet/importers/released.py").read_text()
    for name in (paths.CONFIG, paths.TRAINED, paths.IMPORTED, paths.WEIGHTS):
        assert f'"{name}"' in released


KEY = "0123456789abcdef"
RESULTS = [
    (paths.data_manifest("voc"), "logs/data/voc.log", None),
    (paths.trained(KEY), f"logs/runs/{KEY}/train.log", f"runs/{KEY}.dvc"),
    (paths.evaluation(KEY, "a-1"), f"logs/runs/{KEY}/a-1.log", f"runs/{KEY}.a-1.dvc"),
    (
        paths.trained(KEY, paths.RELEASED),
        f"logs/released/{KEY}/import.log",
        f"released/{KEY}.dvc",
    ),
    (
        paths.evaluation(KEY, "train", paths.RELEASED),
        f"logs/released/{KEY}/train.log",
        f"released/{KEY}.train.dvc",
    ),
    (
        paths.prediction(KEY, "a-1"),
        f"logs/predictions/{KEY}/a-1.log",
        f"predictions/{KEY}.a-1.dvc",
    ),
    (paths.count(KEY), f"logs/counts/{KEY}.log", f"counts/{KEY}.json.dvc"),
    (paths.speed(KEY), f"logs/speed/{KEY}.log", f"speed/{KEY}.json.dvc"),
    (paths.report("fidelity", "json"), "logs/fidelity.log", None),
]


@pytest.mark.parametrize(("output", "log", "entry"), RESULTS)
def test_a_results_log_and_entry(output: str, log: str, entry: str | None) -> None:
    assert paths.log(output) == log
    assert entry is None or paths.entry(output) == entry
    assert paths.log(output.replace(KEY, "{key}")) == log.replace(KEY, "{key}"), "as a rule asks"
