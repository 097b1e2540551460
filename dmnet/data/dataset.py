"""The loader that reads every dataset: pairs of files from a manifest -> tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from dmnet.config import DataIdentity, RecipeConfig
from dmnet.data.augment import augment, resize_image, resize_label, scaled_size
from dmnet.data.decode import read_image, read_label
from dmnet.data.manifest import NO_LABEL, Manifest
from dmnet.errors import DataError


class SegmentationDataset:
    """Decoded samples of one split: image (3, h, w) uint8 and label (h, w) uint8.

    Labels are mapped by `label_map` and checked: a value that is neither a class nor
    `ignore_index` raises DataError, as does a label of another size than its image.
    `load_scale` shrinks the photographs; `cache_mib` keeps decoded ones in memory.
    """

    def __init__(
        self,
        manifest: Manifest,
        split: str,
        data: DataIdentity,
        load_scale: float = 1.0,
        cache_mib: int = 0,
    ) -> None:
        self.pairs: list[tuple[Path, Path]] = manifest.pairs(split)
        self.data = data
        self.load_scale = load_scale
        self._lookup = label_lookup(data)
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}
        self._cache_bytes_left = cache_mib * 2**20

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        if index in self._cache:
            return self._cache[index]
        sample = self._decode(*self.pairs[index])
        size = sum(tensor.numel() * tensor.element_size() for tensor in sample)
        if size <= self._cache_bytes_left:
            self._cache[index] = sample
            self._cache_bytes_left -= size
        return sample

    def read_image(self, index: int) -> tuple[Tensor, tuple[int, int]]:
        """The image as `read` gives it, and its size (h, w) on disk; no label is needed."""
        image = _image(self.pairs[index][0])
        size = (image.shape[1], image.shape[2])
        return resize_image(image, scaled_size(*size, self.load_scale)), size

    def _decode(self, image_path: Path, label_path: Path) -> tuple[Tensor, Tensor]:
        if label_path.name == NO_LABEL:
            raise DataError(
                f"{image_path}: has no label, so nothing can be trained or measured on it; "
                "choose a labelled split"
            )
        image = _image(image_path)
        indices = read_label(label_path)
        if tuple(image.shape[-2:]) != indices.shape:
            raise DataError(
                f"{label_path}: {indices.shape[1]}x{indices.shape[0]} pixels, but its image has "
                f"{image.shape[2]}x{image.shape[1]}; prepare the dataset again"
            )
        if indices.dtype != np.uint8:
            if int(indices.max(initial=0)) >= len(self._lookup) or int(indices.min(initial=0)) < 0:
                raise self._out_of_range(label_path, int(indices.max()))
            indices = indices.astype(np.uint8)
        occurs = cv2.calcHist([indices], [0], None, [256], [0, 256]).ravel() > 0
        unknown = np.flatnonzero(occurs & (self._lookup == UNKNOWN))
        if unknown.size:
            raise self._out_of_range(label_path, int(unknown[0]))
        label = torch.from_numpy(cv2.LUT(indices, self._lookup.astype(np.uint8)))
        if self.load_scale != 1.0:
            height, width = label.shape
            size = scaled_size(height, width, self.load_scale)
            image, label = resize_image(image, size), resize_label(label, size)
        return image, label

    def _out_of_range(self, path: Path, value: int) -> DataError:
        return DataError(
            f"{path}: label {value}, expected 0 to {self.data.classes - 1} or "
            f"{self.data.ignore_index}; prepare the dataset again or correct its label_map"
        )


def _image(path: Path) -> Tensor:
    """(3, h, w) uint8; colours innermost in memory, as decoded and as OpenCV wants them."""
    return torch.from_numpy(read_image(path)).permute(2, 0, 1)


UNKNOWN = -1


def label_lookup(data: DataIdentity) -> np.ndarray:
    """(256,) int64: label on disk -> class index, `ignore_index`, or UNKNOWN."""
    lookup = np.full(256, UNKNOWN, dtype=np.int64)
    lookup[: data.classes] = np.arange(data.classes)
    lookup[data.ignore_index] = data.ignore_index
    for on_disk, in_training in data.label_map.items():
        lookup[on_disk] = in_training
    return lookup


Address = tuple[int, int]  # (epoch, index)


@dataclass
class TrainingSamples(Dataset[tuple[Tensor, Tensor]]):
    """Augmented samples, addressed by (epoch, index); the same address is the same sample."""

    dataset: SegmentationDataset
    recipe: RecipeConfig
    seed: int

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, address: Address) -> tuple[Tensor, Tensor]:
        epoch, index = address
        rng = np.random.default_rng([self.seed, epoch, index])
        image, label = self.dataset.read(index)
        return augment(image, label, self.recipe, self.dataset.data.ignore_index, rng)


@dataclass
class SampleStream:
    """Addresses of the batches from iteration `start` to `stop`: shuffled epochs end to end.

    A batch may straddle two epochs, so every image is seen equally often and none is dropped.
    """

    samples: int
    batch_size: int
    seed: int
    start: int
    stop: int
    # What one of several processes takes of a batch.
    share: Callable[[list[Address]], list[Address]] | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[Address]]:
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for iteration in range(self.start, self.stop):
            batch = []
            for position in range(iteration * self.batch_size, (iteration + 1) * self.batch_size):
                if position // self.samples != epoch:
                    epoch = position // self.samples
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.samples)
                batch.append((epoch, int(order[position % self.samples])))
            yield batch if self.share is None else self.share(batch)


def stack_samples(samples: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Samples -> [images, labels]. Raises DataError where they differ in size.

    sssegmentation's padding turns an upright sample's size around where `crop_size` is lying (see
    `dmnet.data.padding`); sssegmentation itself also stops at a batch that mixes both.
    """
    sizes = sorted({tuple(label.shape) for _, label in samples})
    if len(sizes) > 1:
        raise DataError(
            f"crop_size: upright and lying photographs in one batch came out at {sizes[0]} and "
            f"{sizes[1]} pixels; give the recipe a square crop_size, or conventions mmsegmentation"
        )
    stacked: list[Tensor] = default_collate(samples)
    return stacked


def training_batches(
    dataset: SegmentationDataset,
    recipe: RecipeConfig,
    seed: int,
    start: int,
    workers: int,
    pin_memory: bool,
    share: Callable[[list[Address]], list[Address]] | None = None,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches (images (n, 3, H, W) float32, labels (n, H, W) uint8) from iteration `start` on.

    share: what this process takes of a batch's addresses; None: all.
    """
    stream = SampleStream(len(dataset), recipe.batch_size, seed, start, recipe.iterations, share)
    return DataLoader(
        TrainingSamples(dataset, recipe, seed),
        batch_sampler=stream,
        collate_fn=stack_samples,
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=False,
    )
