"""What all tests share: the record of comparisons with the references, and who sees a GPU."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.terminal import heed_signals

Fidelity = Callable[..., None]
ROUNDINGS = 3
ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = {"torch", "numpy", "scipy", "cv2"}
COMPARISONS = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fidelity", type=Path, help="write every comparison with a reference to this JSON file"
    )
    parser.addoption(
        "--rehearsal", action="store_true", help="with -m gpu: on the CPU, which tells of no GPU"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COMPARISONS] = []
    heed_signals()
    rehearsal = config.getoption("--rehearsal")
    if config.option.markexpr != "gpu" or rehearsal:
        # On a CPU recordings hold to 1e-5 and runs to the bit; tests/dmnet/gpu judge a GPU.
        # PyTorch has not looked yet, and what tests start looks as they do.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif not torch.cuda.is_available():
        raise pytest.UsageError(
            f"these tests need a GPU, and PyTorch {torch.__version__} sees none here; "
            "--rehearsal tries them out on the CPU"
        )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.option.markexpr != "gpu":
        return
    if config.getoption("--rehearsal"):
        terminalreporter.write_line("rehearsal: on the CPU, none of this tells of a GPU")
    else:
        name = torch.cuda.get_device_name()
        terminalreporter.write_line(f"on {name}, PyTorch {torch.__version__}")


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what computes. With --fidelity only what asks for the fixture below is run."""
    for item in items:
        if computes(item.path):
            item.add_marker("numeric")
    if config.getoption("--fidelity") is None:
        return
    chosen = [item for item in items if "fidelity" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def computes(file: Path) -> bool:
    """Whether what a file of tests finds may depend on the processor's instructions: an import of
    PyTorch or NumPy stands in it, or in what it imports of ours and what that imports."""
    seen, ahead = {file}, [file]
    while ahead:
        itself, others = imports(ahead.pop())
        if itself:
            return True
        ahead += others - seen
        seen |= others
    return False


@cache
def imports(file: Path) -> tuple[bool, frozenset[Path]]:
    """Whether a module imports one of LIBRARIES, even within a function, and those of ours that it
    imports at its top."""
    tree = ast.parse(file.read_text())
    ours = [ROOT.joinpath(*name.split(".")) for node in tree.body for name in named_by(node)]
    files = [f for p in ours for f in (p.with_suffix(".py"), p / "__init__.py")]
    tops = {name.split(".")[0] for node in ast.walk(tree) for name in named_by(node)}
    return bool(tops & LIBRARIES), frozenset(file for file in files if file.exists())


def named_by(node: ast.AST) -> list[str]:
    """The modules that an import may mean."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a process of pytest-xdist compared."""
    node.config.stash[COMPARISONS] += getattr(node, "workeroutput", {}).get("comparisons", [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--fidelity")
    made = session.config.stash[COMPARISONS]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["comparisons"] = made
    elif path is not None:
        rows = sorted(made, key=lambda row: (row["model"], row["what"]))
        found = {
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": max((row.pop("threads") for row in rows), default=0),
        }
        path.write_text(json.dumps({"made": found, "comparisons": rows}, indent=2) + "\n")


@pytest.fixture
def fidelity(request: pytest.FixtureRequest) -> Fidelity:
    """`fidelity(model, what, ours, theirs, limit=1e-5, source="...", exact=None, where=None)`.

    Tensors are compared by the largest difference as a part of the reference's range, numbers by
    the relative difference, integer or boolean tensors and everything else by equality (error 0 or
    1 against limit 0). The comparison is recorded whether it holds or not, then asserted.

    exact: the reference's own in float64 (ours would agree with ours), for what float32 magnifies:
    two roundings of it may be far from each other and both be right. Then ours may be ROUNDINGS
    times as far from it as theirs, or `limit`.

    where: bool tensor: nothing else is compared, and the list says how much that is.

    model: "DMNet (mmsegmentation)" or such; what: one comparison, in words; source: the fixture.
    """

    def compare(
        model: str,
        what: str,
        ours: Any,
        theirs: Any,
        *,
        source: str,
        limit: float = 1e-5,
        exact: Any = None,
        where: Tensor | None = None,
    ) -> None:
        if where is not None:
            ours, theirs = ours[where], theirs[where]
        if exact is None:
            error, limit, measure = _difference(ours, theirs, limit)
        else:
            error, limit, measure = _difference(ours, exact, limit)
            limit = max(limit, ROUNDINGS * _difference(theirs, exact, limit)[0])
            measure += f" to float64 (limit: {ROUNDINGS} times the reference's)"
        if where is not None:
            part = 100 * float(where.double().mean())
            measure += f" (of the {part:.1f} % that more than rounding decides)"
        row = {
            **{"model": model, "what": what, "source": source, "measure": measure},
            **{"error": error, "limit": limit, "holds": bool(error <= limit)},
            "test": request.node.nodeid.split("[")[0],
            "threads": torch.get_num_threads(),
        }
        request.config.stash[COMPARISONS].append(row)
        assert error <= limit, f"{model}, {what}: error {error:.3g}, limit {limit:g} ({measure})"

    return compare


def _difference(ours: Any, theirs: Any, limit: float) -> tuple[float, float, str]:
    if isinstance(theirs, Tensor):
        assert isinstance(ours, Tensor) and ours.shape == theirs.shape, "of different shapes"
        if not theirs.is_floating_point():
            wrong = float((ours != theirs).double().mean()) if theirs.numel() else 0.0
            return wrong, 0.0, "part that differs"
        assert torch.equal(ours.isnan(), theirs.isnan()), "not NaN at the same places"
        span = float(theirs[~theirs.isnan()].max() - theirs[~theirs.isnan()].min())
        error = float((ours.double() - theirs.double()).abs().nan_to_num().max())
        if error == 0:
            return 0.0, limit, "largest difference / range"
        return error / span if span else float("inf"), limit, "largest difference / range"
    if isinstance(theirs, int | float) and not isinstance(theirs, bool):
        error = abs(ours - theirs) / abs(theirs) if theirs else abs(ours)
        return float(error), limit, "relative difference"
    return float(ours != theirs), 0.0, "equal or not"
