"""Lets the reference implementations import beside a CPU torch; put this folder on PYTHONPATH.

Python imports a module of this name when it starts. It changes two imports, when they happen:

- `torchvision`: where its compiled extension does not load (a CUDA wheel beside a CPU torch), the
  schemas of its operators are defined first, for which it registers kernels (as
  tests/torchvision_peer.py does for our tests). Where the extension loads, nothing happens.
- `mmcv.ops`: mmcv-lite has no compiled operators, and mmsegmentation imports names of theirs that
  the models here do not use. Each such name gives a class that refuses to be used.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
KEPT: list[Any] = []  # a library's definitions live as long as the library


def define_missing_operators(folder: Path) -> None:
    import torch

    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
            return
        except OSError:
            continue
    definitions = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        definitions.define(name + NMS)
    KEPT.append(definitions)


class CompiledOperators(ModuleType):
    """Stands for `mmcv.ops`."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: object, **__: object) -> None:
            raise NotImplementedError(f"mmcv.ops.{name} is a compiled operator; mmcv-lite has none")

        return type(name, (), {"__new__": refuse})


class Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return CompiledOperators(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "mmcv.ops":
            return importlib.machinery.ModuleSpec(name, Loader())
        if name == "torchvision":
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            for folder in (spec.submodule_search_locations or []) if spec else []:
                define_missing_operators(Path(folder))
        return None


sys.meta_path.insert(0, Finder())
