"""torchvision works beside this build of torch, whichever was imported first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from dmnet.compat import torchvision

ROOT = Path(__file__).resolve().parents[2]


def test_models_and_transforms_work() -> None:
    with torch.device("meta"):
        assert torchvision.models.resnet.resnet50().fc.out_features == 1000
    image = torch.arange(4, dtype=torch.uint8).reshape(1, 2, 2)
    flipped = torchvision.transforms.v2.functional.horizontal_flip(image)
    assert flipped.flatten().tolist() == [1, 0, 3, 2]


def test_a_fresh_process_can_import_it_through_here_and_then_directly() -> None:
    code = "from dmnet.compat import torchvision as a; import torchvision as b; assert a is b"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_importing_the_package_and_its_configuration_does_not_import_torch() -> None:
    code = (
        "import sys, dmnet, dmnet.config, dmnet.errors; "
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
