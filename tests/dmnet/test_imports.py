"""What a process imports before it works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_importing_the_package_and_its_configuration_does_not_import_torch() -> None:
    code = (
        "import sys, dmnet, dmnet.config, dmnet.errors; "
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_modules_that_evaluate_and_train_import_neither_torchvision_nor_the_compiler() -> None:
    code = (
        "import sys, dmnet.__main__, dmnet.inference.evaluate, dmnet.training.trainer; "
        "assert not {'torchvision', 'torch._dynamo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
