"""The collector looks at nothing while modules are imported, and works as before afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

from dmnet.private.collector import uncollected

ROOT = Path(__file__).resolve().parents[3]


class Node:
    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_meanwhile_and_what_is_made_later_is() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    garbage = weakref.ref(Node())
    gc.collect()
    assert garbage() is None
    gc.unfreeze()


def test_it_works_again_after_a_failure() -> None:
    try:
        with uncollected():
            raise ImportError
    except ImportError:
        assert gc.isenabled()
    gc.unfreeze()


def test_a_command_never_looks_through_pytorch() -> None:
    """`speed` with a configuration that is none: it ends after its imports."""
    code = (
        "import gc; from dmnet.__main__ import main\n"
        "assert main(['speed', '--config', '{', '--output', 'never.json']) == 1\n"
        "assert gc.isenabled() and gc.get_freeze_count() > len(gc.get_objects())"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
