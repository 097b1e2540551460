"""Decoded samples and the stream of training batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from dmnet.config import DatasetConfig, RecipeConfig
from dmnet.data.dataset import SampleStream, SegmentationDataset, TrainingSamples, training_batches
from dmnet.data.manifest import Manifest
from dmnet.data.prepare import prepare_dataset
from dmnet.errors import DataError

RECIPE = RecipeConfig(
    lr=0.1, weight_decay=0, iterations=7, batch_size=2, crop_size=(8, 8), scale_range=(0.5, 2.0)
)
# Everything that draws random numbers.
ZOO_RECIPE = RECIPE.model_copy(
    update={"fit_size": (8, 16), "cat_max_ratio": 0.75, "photometric": True}
)

MakeDataset = Callable[..., SegmentationDataset]


@pytest.fixture
def source(tmp_path: Path, camvid_source: Callable[[Path], Path]) -> Path:
    return camvid_source(tmp_path / "source")


@pytest.fixture
def make_dataset(
    tmp_path: Path, source: Path, camvid_config: Callable[..., DatasetConfig]
) -> MakeDataset:
    """The made-up CamVid's training split: 3 images of 10x12 pixels, first row void."""
    config = camvid_config()
    folder = tmp_path / "data"
    prepare_dataset(config, folder, source, source)
    manifest = Manifest.load(folder)

    def make(data: dict[str, Any] | None = None, **values: Any) -> SegmentationDataset:
        identity = config.identity.model_copy(update=data or {})
        return SegmentationDataset(manifest, "train", identity, **values)

    return make


def batches(
    dataset: SegmentationDataset,
    start: int = 0,
    workers: int = 0,
    seed: int = 5,
    recipe: RecipeConfig = RECIPE,
) -> list[tuple[Tensor, Tensor]]:
    return list(training_batches(dataset, recipe, seed, start, workers, pin_memory=False))


def equal(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


# ---------------------------------------------------------------------------- decoded samples


def test_a_sample_is_an_image_and_its_labels_after_the_label_map(
    make_dataset: MakeDataset, source: Path
) -> None:
    image, label = make_dataset().read(1)
    stored = np.array(Image.open(source / "train" / "train_1.png"))
    indices = np.array(Image.open(source / "trainannot" / "train_1.png"))
    assert image.dtype == torch.uint8 and np.array_equal(image.permute(1, 2, 0).numpy(), stored)
    assert label.dtype == torch.uint8
    assert (indices[0] == 11).all() and bool((label[0] == 255).all())
    assert np.array_equal(label[1:].numpy(), indices[1:])


def test_a_label_outside_the_classes_is_an_error_that_names_file_and_value(
    make_dataset: MakeDataset,
) -> None:
    with pytest.raises(DataError, match=r"train_0\.png: label 11, expected 0 to 10 or 255"):
        make_dataset({"label_map": {}}).read(0)


def test_a_16_bit_label_beyond_255_is_an_error(make_dataset: MakeDataset, source: Path) -> None:
    wide = Image.fromarray(np.full((10, 12), 300, np.uint16))
    wide.save(source / "trainannot" / "train_0.png")
    with pytest.raises(DataError, match=r"train_0\.png: label 300, expected 0 to 10 or 255"):
        make_dataset().read(0)


def test_a_label_of_another_size_is_an_error_with_both_sizes(
    make_dataset: MakeDataset, source: Path
) -> None:
    Image.fromarray(np.zeros((9, 12), np.uint8)).save(source / "trainannot" / "train_2.png")
    with pytest.raises(DataError, match=r"train_2\.png: 12x9 pixels, but its image has 12x10"):
        make_dataset().read(2)


def test_load_scale_shrinks_image_and_label(make_dataset: MakeDataset) -> None:
    image, label = make_dataset(load_scale=0.5).read(0)
    assert image.shape == (3, 5, 6) and label.shape == (5, 6)
    assert set(label.unique().tolist()) <= set(make_dataset().read(0)[1].unique().tolist())


def test_a_cache_gives_the_same_samples_and_spares_decoding(
    make_dataset: MakeDataset, source: Path
) -> None:
    plain, cached = make_dataset(), make_dataset(cache_mib=1)
    fresh, first = ([dataset.read(i) for i in range(3)] for dataset in (plain, cached))
    for split in ("train", "trainannot"):
        for path in (source / split).iterdir():
            path.unlink()
    again = [cached.read(i) for i in range(3)]
    assert equal(fresh, first) and equal(first, again)
    with pytest.raises(DataError, match="missing"):
        plain.read(0)


def test_augmentation_leaves_the_cached_sample_as_it_was(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(cache_mib=1)
    before = [tensor.clone() for tensor in dataset.read(0)]
    samples = TrainingSamples(dataset, RECIPE, seed=0)
    for epoch in range(5):
        image, label = samples[epoch, 0]
        image.fill_(-1)
        label.fill_(-1)
    assert all(torch.equal(a, b) for a, b in zip(before, dataset.read(0), strict=True))


def test_a_full_cache_keeps_reading_from_disk(make_dataset: MakeDataset) -> None:
    plain, cached = make_dataset(), make_dataset(cache_mib=1)
    cached._cache_bytes_left = 10 * 12 * (3 + 1) + 1  # room for one sample
    for _ in range(2):
        assert equal([plain.read(i) for i in range(3)], [cached.read(i) for i in range(3)])
    assert len(cached._cache) == 1


# ------------------------------------------------------------------------ the training stream


def test_the_same_address_is_the_same_sample_and_another_address_another(
    make_dataset: MakeDataset,
) -> None:
    samples = TrainingSamples(make_dataset(), RECIPE, seed=5)
    assert equal([samples[4, 2]], [samples[4, 2]])
    assert not equal([samples[4, 2]], [samples[5, 2]])
    assert not equal([samples[4, 2]], [TrainingSamples(make_dataset(), RECIPE, seed=6)[4, 2]])


@pytest.mark.parametrize("recipe", [RECIPE, ZOO_RECIPE], ids=["paper", "zoo"])
@pytest.mark.parametrize("start", [0, 3])
def test_batches_do_not_depend_on_the_number_of_workers(
    make_dataset: MakeDataset, start: int, recipe: RecipeConfig
) -> None:
    dataset = make_dataset(cache_mib=1)
    alone, parallel = (batches(dataset, start, workers, recipe=recipe) for workers in (0, 2))
    assert equal(alone, parallel)
    assert equal(alone, batches(dataset, recipe=recipe)[start:])


@pytest.mark.parametrize("start", range(8))
def test_a_stream_resumed_anywhere_goes_on_as_the_uninterrupted_one(
    make_dataset: MakeDataset, start: int
) -> None:
    dataset = make_dataset()
    assert equal(batches(dataset, start), batches(dataset)[start:])


def test_another_seed_gives_other_batches(make_dataset: MakeDataset) -> None:
    assert not equal(batches(make_dataset(), seed=5), batches(make_dataset(), seed=6))


@settings(max_examples=100, deadline=None)
@given(
    samples=st.integers(1, 20),
    batch_size=st.integers(1, 25),
    seed=st.integers(0, 2**31),
    iterations=st.integers(0, 20),
    share=st.floats(0, 1),
)
def test_the_stream_is_shuffled_epochs_end_to_end(
    samples: int, batch_size: int, seed: int, iterations: int, share: float
) -> None:
    whole = list(SampleStream(samples, batch_size, seed, 0, iterations))
    assert [len(batch) for batch in whole] == [batch_size] * iterations
    addresses = [address for batch in whole for address in batch]
    for position, (epoch, _) in enumerate(addresses):
        assert epoch == position // samples
    complete = addresses[: len(addresses) // samples * samples]
    counts = Counter(index for _, index in complete)
    assert set(counts.values()) <= {len(addresses) // samples}
    assert len(set(addresses)) == len(addresses)

    start = int(share * iterations)
    rest = SampleStream(samples, batch_size, seed, start, iterations)
    assert list(rest) == whole[start:] and len(rest) == iterations - start


def test_each_epoch_has_an_order_of_its_own() -> None:
    first, second = list(SampleStream(50, 50, 0, 0, 2))
    assert [i for _, i in first] != [i for _, i in second]
    assert [i for _, i in first] != list(range(50))
