"""A report depends on all code that can change its bytes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pipeline.workflow import code

ROOT = Path(__file__).resolve().parents[3]
TARGETS = {
    name: f"pipeline.commands.{name}"
    for name in ("report", "summary", "figure", "submission", "page")
}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the code, which `code` looks at in this clone's place."""
    for package in code.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (code.code_hash, code.code_of, code._imported, code._file_of, code._beside):
        cached.cache_clear()
    code._digest.cache_clear()


def _hashes() -> dict[str, str]:
    forget()
    return {name: code.code_hash(module) for name, module in TARGETS.items()}


def test_every_file_that_a_report_can_run_makes_it_out_of_date(copy: Path) -> None:
    before = _hashes()
    files = {name: code.code_of(module) for name, module in TARGETS.items()}
    for path in sorted(set().union(*files.values())):
        content = (copy / path).read_bytes()
        (copy / path).write_bytes(content + b"\n")
        changed = {name for name, value in _hashes().items() if value != before[name]}
        assert changed == {name for name in TARGETS if path in files[name]}, path
        (copy / path).write_bytes(content)


def test_a_new_import_brings_its_module_along(copy: Path) -> None:
    (copy / "pipeline/reports/novel.py").write_text("WORD = 'new'\n")
    with (copy / "pipeline/reports/markdown/table.py").open("a") as table:
        table.write("\n\ndef late():\n    from pipeline.reports import (\n        novel,\n    )\n")
    forget()
    assert "pipeline/reports/novel.py" in code.code_of(TARGETS["report"])


@pytest.mark.parametrize("name", TARGETS)
def test_what_python_imports_is_among_it(name: str) -> None:
    """Python's own word: what is loaded once the modules and their lazy imports were used."""
    import subprocess

    program = (
        "import importlib, sys\n"
        f"importlib.import_module({TARGETS[name]!r})\n"
        "print(*(m.__file__ for n, m in sys.modules.items()"
        f" if n.split('.')[0] in {code.PACKAGES!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {str(Path(path).relative_to(ROOT)) for path in done.stdout.split()}
    assert loaded and loaded <= set(code.code_of(TARGETS[name]))


def test_the_page_depends_on_its_template() -> None:
    assert "pipeline/reports/html/templates/overview.css" in code.code_of(TARGETS["page"])
