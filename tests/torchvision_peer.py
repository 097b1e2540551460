"""torchvision, which the tests compare with, beside a CPU build of torch.

The torchvision wheel is compiled for CUDA. Beside a CPU torch its extension does not load, and
`import torchvision` stops because it registers fake kernels for operators whose schemas the
extension would have defined. Defining the two schemas first lets the pure-Python parts (models,
transforms, datasets) import. Where the extension loads normally this module does nothing.

Import it from here, so that the order is always right:

    from tests.torchvision_peer import torchvision
"""

from __future__ import annotations

import importlib.util

import torch

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _extension_loads() -> bool:
    specification = importlib.util.find_spec("torchvision")
    if specification is None or not specification.submodule_search_locations:
        return True  # no torchvision at all: let the import below say so
    from pathlib import Path

    folder = Path(specification.submodule_search_locations[0])
    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
            return True
        except OSError:
            continue
    return False


if not _extension_loads():
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}{_NMS}")

import torchvision  # noqa: E402
import torchvision.transforms.v2.functional  # noqa: E402

__all__ = ["torchvision"]
