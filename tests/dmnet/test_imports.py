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


def test_what_evaluates_and_trains_imports_no_torchvision_compiler_or_network() -> None:
    code = (
        "import sys, dmnet.__main__, dmnet.inference.evaluate, dmnet.training.run; "
        "assert not {'torchvision', 'torch._dynamo', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


STEP = """
import sys, torch
from dmnet.config import ModelConfig, RecipeConfig
from dmnet.flops import training_cost
from dmnet.segmentor import Segmentor
from dmnet.training.step import Stepper

torch.manual_seed(0)
backbone = {"name": "resnet", "depth": 50, "width": 4}
config = ModelConfig.model_validate(
    {"backbone": backbone, "head": {"name": "dmnet", "channels": 4}}
)
training_cost(config, 3, 32, 32)
recipe = RecipeConfig(
    iterations=4, batch_size=2, crop_size=(32, 32), lr=0.1, momentum=0.9, weight_decay=0
)
one = Stepper(Segmentor(config, 3).train(), recipe, 255, torch.device("cpu"))
one.step(torch.randn(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.uint8), 0)
one.load_state_dict(one.state_dict())
assert "torch._dynamo" not in sys.modules
"""


def test_neither_counting_nor_a_step_of_training_imports_the_compiler() -> None:
    subprocess.run([sys.executable, "-c", STEP], cwd=ROOT, check=True, timeout=60)
