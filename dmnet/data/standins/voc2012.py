"""A procedural stand-in for PASCAL VOC 2012 with SBD, as the two archives in the real format.

Each image has one to four objects on a textured background. A class is a hue (of ten) together
with a form (of two): striped ellipse or chequered rectangle. So colour is an easy cue, form needs
a wider look, and thin background strokes in the classes' hues make colour alone insufficient. As
in the real archives, VOC's labels outline objects with 255, SBD's do not, SBD labels some of VOC's
train and val images as well, and a few photographs are grayscale.

One configuration gives the same bytes every time (with the same versions of Pillow and zlib).
"""

from __future__ import annotations

import colorsys
import gzip
import io
import math
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io
import scipy.sparse
from PIL import Image, ImageDraw

from dmnet.config import DatasetConfig, GenerateConfig
from dmnet.data.voc2012 import SBD_ARCHIVE, SBD_ROOT, VOC_ARCHIVE, VOC_ROOT, palette
from dmnet.errors import ConfigError
from dmnet.files import atomic_write

OBJECT_CLASSES = 20  # labels 1..20; 0 is the background
HUES = 10
BOUNDARY = 255

_MTIME = 1305072000  # 11 May 2012, for every member of the archives
_GRAYSCALE_EVERY = 40
_MAT_HEADER = b"MATLAB 5.0 MAT-file, procedural stand-in"
_GROUPS = ("train", "sbd", "val")

Plane = npt.NDArray[np.float64]  # (height, width)


@dataclass(frozen=True)
class Scene:
    """A photograph, uint8 (height, width, 3), and what it shows, both uint8 (height, width).

    `labels` are classes without outlines; `instances` numbers the objects from 1, 0 elsewhere.
    """

    photograph: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8]

    def outlined(self) -> npt.NDArray[np.uint8]:
        """The labels with 255 on both sides of every object's edge, one pixel each."""
        return np.where(edges(self.instances), np.uint8(BOUNDARY), self.labels)


def generate(config: DatasetConfig, archives: Path) -> None:
    """Write both archives into the folder `archives`.

    `config.generate.images` has three keys: `train` and `val` are VOC's splits, `sbd` the images
    that only SBD labels; so `trainaug` has `train` + `sbd` images. Raises ConfigError when the keys
    or the number of classes are others.
    """
    settings = config.generate
    if settings is None or set(settings.images) != set(_GROUPS):
        raise ConfigError(
            f"{config.name}: `generate.images` needs exactly the keys {', '.join(_GROUPS)}"
        )
    if len(config.classes) != OBJECT_CLASSES + 1:
        raise ConfigError(
            f"{config.name}: {len(config.classes)} `classes`; the stand-in of VOC 2012 draws "
            f"{OBJECT_CLASSES + 1}, the background included"
        )
    groups = _sample_ids(settings)
    scenes = dict(_scenes(settings, groups))
    _write_voc(archives / VOC_ARCHIVE, groups, scenes)
    _write_sbd(archives / SBD_ARCHIVE, groups, scenes)


def edges(instances: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Pixels with a left, right, upper or lower neighbour of another instance."""
    mask = np.zeros(instances.shape, dtype=bool)
    across = instances[:, 1:] != instances[:, :-1]
    down = instances[1:] != instances[:-1]
    mask[:, 1:] |= across
    mask[:, :-1] |= across
    mask[1:] |= down
    mask[:-1] |= down
    return mask


# --------------------------------------------------------------------------- what is in images


def _sample_ids(settings: GenerateConfig) -> dict[str, list[str]]:
    """Sorted IDs such as 2007_000032 for each group; the years are mixed over the groups."""
    total = sum(settings.images.values())
    ids = [f"{2007 + i * 5 // total}_{32 + 7 * i:06d}" for i in range(total)]
    order = np.random.default_rng([settings.seed, settings.revision]).permutation(total)
    groups, start = {}, 0
    for name in _GROUPS:
        stop = start + settings.images[name]
        groups[name] = sorted(ids[i] for i in order[start:stop])
        start = stop
    return groups


def _scenes(
    settings: GenerateConfig, groups: Mapping[str, list[str]]
) -> Iterator[tuple[str, Scene]]:
    number = 0
    for group in _GROUPS:
        # Cycling through all classes balances them within each group.
        order = np.random.default_rng([settings.seed, settings.revision, 1, number])
        waiting: list[int] = []
        for sample in groups[group]:
            rng = np.random.default_rng([settings.seed, settings.revision, 2, number])
            count = int(rng.integers(2, 6))
            while len(waiting) < count:
                waiting += (order.permutation(OBJECT_CLASSES) + 1).tolist()
            classes, waiting = waiting[:count], waiting[count:]
            grayscale = number % _GRAYSCALE_EVERY == _GRAYSCALE_EVERY - 1
            yield sample, draw_scene(rng, settings.height, settings.width, classes, grayscale)
            number += 1


def draw_scene(
    rng: np.random.Generator, height: int, width: int, classes: list[int], grayscale: bool = False
) -> Scene:
    """One scene with an object per entry of `classes` (1..20), about height x width pixels.

    The sides vary by 12 %, and three in ten images are turned by a quarter.
    """
    height, width = (round(side * rng.uniform(0.88, 1.12)) for side in (height, width))
    if rng.random() < 0.3:
        height, width = width, height
    image = _draw_background(rng, height, width)
    labels = np.zeros((height, width), np.uint8)
    instances = np.zeros((height, width), np.uint8)
    sizes = sorted(rng.uniform(0.25, 0.9, len(classes)), reverse=True)
    # Small objects come last, on top, so that none is hidden entirely.
    for instance, (category, size) in enumerate(zip(classes, sizes, strict=True), start=1):
        mask, colours = _draw_object(rng, height, width, category, size)
        image[mask] = colours[mask]
        labels[mask] = category
        instances[mask] = instance
    rows = np.linspace(-1, 1, height)[:, None, None] * rng.uniform(-0.12, 0.12)
    columns = np.linspace(-1, 1, width)[None, :, None] * rng.uniform(-0.12, 0.12)
    image = image * rng.uniform(0.75, 1.15) * (1 + rows + columns)
    image = image * 255 + rng.normal(0, 9, image.shape)
    photograph = image.clip(0, 255).round().astype(np.uint8)
    if grayscale:
        gray = np.asarray(Image.fromarray(photograph).convert("L"))
        photograph = np.repeat(gray[..., None], 3, axis=2)
    return Scene(photograph, labels, instances)


def _draw_background(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Dull colours with coarse and fine texture, and bright strokes that are no objects."""
    base = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.3, 0.7)))
    coarse = _smooth_noise(rng, height, width, 5)[..., None] * 0.15
    fine = _smooth_noise(rng, height, width, 24)[..., None] * 0.1
    tint = rng.normal(0, 0.04, (1, 1, 3)) * _smooth_noise(rng, height, width, 3)[..., None]
    pixels = ((base + coarse + fine + tint) * 255).clip(0, 255).astype(np.uint8)
    canvas = Image.fromarray(pixels)
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(2, 6))):
        points = rng.uniform(-0.1, 1.1, (3, 2)) * (width, height)
        red, green, blue = (round(255 * part) for part in _class_colour(rng))
        pen.line(
            [(float(x), float(y)) for x, y in points],
            fill=(red, green, blue),
            width=int(rng.integers(1, 4)),
        )
    return np.asarray(canvas) / 255.0


def _draw_object(
    rng: np.random.Generator, height: int, width: int, category: int, size: float
) -> tuple[npt.NDArray[np.bool_], Plane]:
    """The object's mask (height, width) and its colours 0..1 (height, width, 3).

    `size` is the longer diameter as a part of the image's shorter side.
    """
    half = size * min(height, width) / 2
    long, short = half, half * rng.uniform(0.6, 0.95)
    # The centre stays inside, so at least a quarter of a large object is visible.
    margin = min(half, 0.35 * min(height, width))
    y = np.arange(height)[:, None] - rng.uniform(margin, height - margin)
    x = np.arange(width)[None, :] - rng.uniform(margin, width - margin)
    angle = rng.uniform(0, math.pi)
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    period = rng.uniform(5, 9)
    hue, form = (category - 1) % HUES, (category - 1) // HUES
    if form == 0:
        mask = (u / long) ** 2 + (v / short) ** 2 <= 1
        dark = np.sin(2 * math.pi * u / period) > 0.2
    else:
        mask = (np.abs(u) <= long * 0.85) & (np.abs(v) <= short * 0.85)
        dark = np.sin(math.pi * u / period) * np.sin(math.pi * v / period) > 0
    colour = _class_colour(rng, hue)
    shade = np.where(dark, rng.uniform(0.45, 0.65), 1.0)[..., None]
    return mask, shade * colour


def _class_colour(rng: np.random.Generator, hue: int | None = None) -> Plane:
    """A saturated colour (3,) in 0..1 near the given hue of the classes, or near any of them."""
    if hue is None:
        hue = int(rng.integers(HUES))
    angle = (hue + rng.uniform(-0.2, 0.2)) / HUES % 1.0
    return np.array(colorsys.hsv_to_rgb(angle, rng.uniform(0.75, 1), rng.uniform(0.75, 1)))


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Plane:
    """Normal noise on a grid of `cells` x `cells`, enlarged to (height, width)."""
    grid = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


# ------------------------------------------------------------------------------- the archives


def _write_voc(path: Path, groups: Mapping[str, list[str]], scenes: Mapping[str, Scene]) -> None:
    labelled = sorted(groups["train"] + groups["val"])
    lists = {"train": groups["train"], "val": groups["val"], "trainval": labelled}
    with atomic_write(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for split, ids in lists.items():
            _add(tar, f"{VOC_ROOT}/ImageSets/Segmentation/{split}.txt", _lines(ids))
        for sample in sorted(scenes):
            _add(tar, f"{VOC_ROOT}/JPEGImages/{sample}.jpg", _jpeg(scenes[sample]))
        for sample in labelled:
            label = Image.fromarray(scenes[sample].outlined())
            label.putpalette(palette())
            _add(tar, f"{VOC_ROOT}/SegmentationClass/{sample}.png", _encode(label, "PNG"))


def _write_sbd(path: Path, groups: Mapping[str, list[str]], scenes: Mapping[str, Scene]) -> None:
    # About three quarters of VOC's own images, as in the real SBD; `trainaug` must leave out its
    # val images and prefer VOC's labels for its train images.
    shared = [s for g in ("train", "val") for i, s in enumerate(groups[g]) if i % 4 != 3]
    labelled = sorted(groups["sbd"] + shared)
    # SBD has its own train and val, unrelated to VOC's.
    lists = {
        "train": [sample for i, sample in enumerate(labelled) if i % 4 != 1],
        "val": [sample for i, sample in enumerate(labelled) if i % 4 == 1],
    }
    with (
        atomic_write(path) as stream,
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=_MTIME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for split, ids in lists.items():
            _add(tar, f"{SBD_ROOT}/{split}.txt", _lines(ids))
        for sample in labelled:
            _add(tar, f"{SBD_ROOT}/cls/{sample}.mat", sbd_mat(scenes[sample].labels))
        for sample in labelled:
            _add(tar, f"{SBD_ROOT}/img/{sample}.jpg", _jpeg(scenes[sample]))


def sbd_mat(labels: npt.NDArray[np.uint8]) -> bytes:
    """A file of SBD's `cls` folder: a struct GTcls with the fields of the published ones.

    Boundaries: 20x1 cell of sparse logical matrices; Segmentation: uint8, category per pixel;
    CategoriesPresent: column of the categories.
    """
    present = [int(value) for value in np.unique(labels) if 1 <= value <= OBJECT_CLASSES]
    empty = scipy.sparse.csc_matrix(labels.shape, dtype=bool)
    boundaries = np.empty((OBJECT_CLASSES, 1), dtype=object)
    for row in range(OBJECT_CLASSES):
        boundaries[row, 0] = empty
    for category in present:
        inside = labels == category
        boundaries[category - 1, 0] = scipy.sparse.csc_matrix(
            edges(inside.astype(np.uint8)) & inside
        )
    content = {
        "Boundaries": boundaries,
        "Segmentation": labels,
        "CategoriesPresent": np.array(present, dtype=np.uint8)[:, None],
    }
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"GTcls": content}, do_compression=True)
    # The first 116 bytes are free text, where scipy writes the time.
    return _MAT_HEADER.ljust(116) + buffer.getvalue()[116:]


def _jpeg(scene: Scene) -> bytes:
    image = Image.fromarray(scene.photograph)
    gray = bool((scene.photograph == scene.photograph[..., :1]).all())
    return _encode(image.convert("L") if gray else image, "JPEG", quality=92)


def _encode(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _lines(ids: list[str]) -> bytes:
    return "".join(f"{sample}\n" for sample in ids).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(content), _MTIME
    tar.addfile(member, io.BytesIO(content))
