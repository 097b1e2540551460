"""Predict a split and keep the label maps: one PNG per image, and a manifest of them.

    predictions/<key>/
    ├── <evaluation>/<image stem>.png   one value per pixel, at the photograph's own size
    └── <evaluation>.json               what they were made of, what stands in them (`encoding`) and
                                        each PNG's SHA-256; written last

The values are those of the benchmark's own label files, which its tools expect, or on demand the
class indices of training (dmnet/inference/encoding.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dmnet.data.augment import resize_label
from dmnet.errors import ConfigError, DataError, RunError
from dmnet.files import sha256_bytes, write_json
from dmnet.inference.ahead import read_ahead
from dmnet.inference.augmented import label_map, predict_scores
from dmnet.inference.encoding import Form, encoding_of
from dmnet.inference.trained import TrainedRun
from dmnet.lock import run_lock


def predict(trained: TrainedRun, output: Path, form: Form = "official") -> dict[str, Any]:
    """Write the label maps of the whole split and the manifest `output`, which is returned.

    form: the benchmark's own values, or train ids. Needs no labels. The folder is `output` without
    `.json`; it takes its name when it is complete, in place of an earlier one. Another process that
    writes it, as a killed Snakemake leaves, is waited for. Raises ConfigError, DataError and
    RunError, leaving no manifest.
    """
    if output.suffix != ".json":
        raise ConfigError(f"--output {output}: expected a name that ends in .json; correct it")
    with run_lock(output.parent / ".locks" / f"{output.stem}.lock", doing="predicted"):
        return _predict(trained, output, form)


def _predict(trained: TrainedRun, output: Path, form: Form) -> dict[str, Any]:
    dataset = trained.dataset
    encoding = encoding_of(trained.evaluation.data, form)
    names = file_names([pair[0] for pair in dataset.pairs], trained.evaluation.split)
    folder = output.with_suffix("")
    work = output.parent / f".{folder.name}.tmp"
    files: dict[str, str] = {}
    try:
        # First of all, so that no manifest ever names what is being replaced.
        output.unlink(missing_ok=True)
        for leftover in (work, folder):
            if leftover.exists():
                shutil.rmtree(leftover)
        work.mkdir(parents=True)
        images = read_ahead(dataset.read_image, range(len(names)))
        for name, (image, size) in zip(names, images, strict=True):
            scores = predict_scores(
                trained.model,
                image,
                trained.job.run.recipe,
                trained.evaluation.inference,
                trained.form,
                trained.device,
            )
            # Scores are of the loaded size, as `evaluate` has them; the labels of that on disk.
            labels = resize_label(label_map(scores).to(torch.uint8).cpu(), size)
            content = encoding.png(labels.numpy())
            (work / name).write_bytes(content)
            files[name] = sha256_bytes(content)
        os.replace(work, folder)
    except OSError as error:
        raise RunError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}); "
            "free space or make the folder writable, then run the same command again"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    manifest = {
        **trained.origin,
        **{"folder": folder.name, "encoding": encoding.to_json(), "files": files},
    }
    write_json(output, manifest)
    return manifest


def file_names(images: Sequence[Path], split: str) -> list[str]:
    """`<stem>.png` per image. Raises DataError where two images of the split have one stem."""
    by_name: dict[str, Path] = {}
    for path in images:
        name = f"{path.stem}.png"
        if name in by_name:
            raise DataError(
                f"{path}: split `{split}` also has {by_name[name]}, and predictions are named "
                "after the image's stem; rename one of them and prepare the dataset again"
            )
        by_name[name] = path
    return list(by_name)
