"""The house: which room may know which, and how large a file may be."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 300  # lines of a file
# From the ground up: a room's modules import those of its own floor and of lower ones only.
FLOORS = (
    "dmnet",  # its modules of no room: errors, files, locks, texts, what code this is
    "dmnet.private",  # private things of PyTorch and glibc
    "dmnet.config",
    "dmnet.devices",
    "dmnet.processes",
    # The network, its losses, its weights, and what they cost.
    "dmnet.fixed_order",
    "dmnet.layers",
    "dmnet.backbones",
    "dmnet.heads",
    "dmnet.segmentor",
    "dmnet.ohem",
    "dmnet.pixel_losses",
    "dmnet.losses",
    "dmnet.weights",
    "dmnet.flops",
    "dmnet.footprint",
    "dmnet.counts",
    "dmnet.data",
    "dmnet.importers",
    "dmnet.optimised",  # arithmetic that is not PyTorch's
    "dmnet.inference",
    "dmnet.training",
    "dmnet.speed",
    "dmnet.commands",
    "dmnet.__main__",
    "pipeline",  # its modules of no room: errors, texts, what runs a job
    "pipeline.spec",
    "pipeline.experiments",
    "pipeline.dvc",
    "pipeline.results",
    "pipeline.reports",
    "pipeline.cluster",
    "pipeline.inspection",
    "pipeline.tracking",
    "pipeline.records",
    "pipeline.workflow",
    "pipeline.commands",
    "pipeline.__main__",
)


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {**modules("dmnet"), **modules("pipeline")}


def imports(module: str, lazy: bool = True) -> set[str]:
    """Modules that `module` imports; lazy: within functions, too, as `TYPE_CHECKING` is."""
    tree = ast.parse(MODULES[module].read_text())
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports by full names, please"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return {name for name in found if name in MODULES} - {module}


def floor(module: str) -> int:
    room = max((room for room in FLOORS if f"{module}.".startswith(f"{room}.")), key=len)
    return FLOORS.index(room)


@pytest.mark.parametrize("module", MODULES)
def test_no_arrow_runs_back(module: str) -> None:
    above = [other for other in imports(module) if floor(other) > floor(module)]
    assert not above, f"{module} imports {above} of a higher floor"


@pytest.mark.parametrize("package", ["dmnet", "pipeline"])
def test_no_import_runs_in_a_circle(package: str) -> None:
    """Raises CycleError, which names it. A package's modules may import their siblings."""
    own = [name for name in MODULES if name.startswith(package)]
    graph = {name: {other for other in imports(name) if other in own} for name in own}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("package", ["dmnet", "pipeline"])
def test_files_are_small(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for module, path in MODULES.items()
        if module.startswith(package) and (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long
