"""What the tests of the model package share: recorded outputs, tiny models, data and jobs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dmnet.config import DatasetConfig, JobConfig
from dmnet.data.prepare import prepare_dataset

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

Prepared = tuple[DatasetConfig, Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums have one order only with one thread; the number is put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Training listens for signals; pytest gets its own handlers back."""
    heard = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in heard}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Load a fixture recorded from a reference implementation."""
    return lambda name: torch.load(GOLDEN / f"{name}.pt", weights_only=True)


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A prepared procedural stand-in: 9 training and 3 validation images of 40x32 pixels."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    config = DatasetConfig.model_validate(
        {
            "name": "drawn",
            "title": "drawn",
            "layout": "voc2012aug",
            "classes": [f"class {i}" for i in range(21)],
            "splits": {"train": "trainaug", "val": "val"},
            "counts": {"trainaug": 9, "val": 3},
            "generate": {
                "revision": 1,
                "images": {"train": 5, "sbd": 4, "val": 3},
                "height": 32,
                "width": 40,
            },
        }
    )
    prepare_dataset(config, folder, folder.parent / "no-archives", None)
    return config, folder


@pytest.fixture(scope="session")
def stripes_data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Eight images of 24x32 pixels, PNG, made of NumPy's random integers only.

    Two noisy stripes of two of the three classes; the last row of each label is void (11).
    """
    source = tmp_path_factory.mktemp("stripes")
    for split, count, seed in (("train", 6, 0), ("val", 2, 1)):
        rng = np.random.default_rng(seed)
        lines = []
        for number in range(count):
            label = np.full((24, 32), number % 3, np.uint8)
            label[:, int(rng.integers(8, 24)) :] = (number + 1) % 3
            image = rng.integers(0, 60, (24, 32, 3)) + 80 * (label[..., None] == np.arange(3))
            label[-1] = 11
            (source / split).mkdir(exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(source / split / f"{number}.png")
            Image.fromarray(label).save(source / split / f"{number}_label.png")
            lines.append(f"{split}/{number}.png {split}/{number}_label.png\n")
        (source / f"{split}.txt").write_text("".join(lines))
    config = DatasetConfig.model_validate(
        {
            "name": "stripes",
            "title": "stripes",
            "layout": "camvid",
            "classes": ["red", "green", "blue"],
            "label_map": {11: 255},
            "splits": {"train": "train", "val": "val"},
        }
    )
    folder = tmp_path_factory.mktemp("prepared")
    prepare_dataset(config, folder, source, source)
    return config, folder


@pytest.fixture
def make_job() -> Callable[..., JobConfig]:
    """A tiny DMNet's training on `dataset`; keyword arguments change its execution and recipe."""

    def make(
        dataset: DatasetConfig,
        recipe: dict[str, Any] | None = None,
        execution: dict[str, Any] | None = None,
        **run: Any,
    ) -> JobConfig:
        values = {
            "run": {
                "model": {
                    "backbone": {"name": "resnet", "width": 4},
                    "head": {"name": "dmnet", "channels": 4, "kernel_sizes": [1, 2, 3]},
                    "auxiliary": {"stage4": {"head": {"name": "fcn", "channels": 4}}},
                },
                "data": dataset.identity.model_dump(mode="json"),
                "recipe": {
                    "lr": 0.02,
                    "weight_decay": 1e-4,
                    "iterations": 6,
                    "batch_size": 2,
                    "crop_size": [24, 24],
                    **(recipe or {}),
                },
                **run,
            },
            "dataset": dataset.model_dump(mode="json"),
            "execution": {
                "checkpoint_every": 2,
                "validate_every": 4,
                "log_every": 3,
                **(execution or {}),
            },
        }
        # Through JSON, as the file `config.json` is.
        return JobConfig.model_validate(json.loads(json.dumps(values)))

    return make
