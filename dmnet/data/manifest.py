"""The result of every preparation: a folder that says which samples a dataset has.

    data/<name>/
    ├── lists/<split>.txt    `image label` per line, POSIX paths relative to the root; the label
    │                        is `-` where there is none, which only the split for `test` may have
    ├── checksums.sha256     `sha256sum` format, sorted by path, every listed file once
    └── manifest.json        written last: while it is absent the dataset is not prepared

The root is the folder the pairs are relative to, inside `data/<name>` or anywhere else. The
fingerprint is the SHA-256 of `checksums.sha256` followed by all lists in sorted split order: it
identifies content and split membership, not the place on disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dmnet.config import DataIdentity, DatasetConfig
from dmnet.data.decode import list_text
from dmnet.data.guarded import check_image, check_label
from dmnet.errors import DataError
from dmnet.files import (
    parse_json,
    read_bounded,
    remove_unfinished,
    sha256_file,
    write_json,
    write_text,
)
from dmnet.text import printable, reason

MANIFEST = "manifest.json"
CHECKSUMS = "checksums.sha256"
LISTS = "lists"

NO_LABEL = "-"
MAX_BYTES = 2**28  # of each file here; ADE20K's checksums have 4 MB

Pair = tuple[str, str]  # image and label (or NO_LABEL), relative to the root


@dataclass(frozen=True)
class Manifest:
    """A prepared dataset. `root` is absolute; `splits` maps a split to its number of images."""

    folder: Path
    dataset: str
    layout: str
    root: Path
    fingerprint: str
    splits: Mapping[str, int]
    stand_in: bool

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `folder`; raises DataError when it is not prepared, damaged, or its root is gone.

        The lists and checksums are compared with the fingerprint; the samples are not read
        (`verify` does that).
        """
        path = folder / MANIFEST
        try:
            stored = parse_json(read_bounded(path, MAX_BYTES))
        except FileNotFoundError:
            raise DataError(
                f"{path}: missing, so this dataset is not prepared; run `snakemake {path}`"
            ) from None
        except (OSError, ValueError) as error:
            raise _damaged(path, reason(error)) from error
        try:
            manifest = cls(
                folder=folder,
                dataset=printable(str(stored["dataset"])),
                layout=printable(str(stored["layout"])),
                # Joining an absolute path gives that path.
                root=Path(os.path.abspath(folder / stored["root"])),
                fingerprint=str(stored["fingerprint"]),
                splits={name: int(split["images"]) for name, split in stored["splits"].items()},
                stand_in=bool(stored["stand_in"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(path, f"{type(error).__name__}: {reason(error)}") from error
        if _fingerprint(folder, manifest.splits) != manifest.fingerprint:
            raise _damaged(path, f"`fingerprint` does not match {LISTS}/ and {CHECKSUMS}")
        if not manifest.root.is_dir():
            raise DataError(
                f"{path}: the images' folder {manifest.root} is gone; "
                "put it back, or delete the manifest and prepare the dataset again"
            )
        return manifest

    def require(self, config: DatasetConfig | DataIdentity) -> None:
        """Raises DataError unless this is the dataset that `config` describes."""
        if (self.dataset, self.layout) != (config.name, config.layout):
            raise DataError(
                f"{self.folder / MANIFEST}: holds {self.dataset} ({self.layout}), expected "
                f"{config.name} ({config.layout}); give the folder of that dataset"
            )

    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        """Absolute (image, label) paths of `split`, in list order.

        Without a label the second path is `root`/NO_LABEL, which names no file.
        Raises DataError for an unknown or an empty split and for a damaged list.
        """
        if split not in self.splits:
            raise DataError(
                f"{self.folder / MANIFEST}: unknown split `{split}`; "
                f"expected one of {', '.join(sorted(self.splits))}"
            )
        path = _list_path(self.folder, split)
        pairs = [(self.root / image, self.root / label) for image, label in read_list(path)]
        if not pairs:
            raise DataError(f"{path}: split `{split}` is empty; prepare the dataset again")
        if len(pairs) != self.splits[split]:
            raise _damaged(path, f"{len(pairs)} lines, expected {self.splits[split]}")
        return pairs


def write_manifest(
    folder: Path, config: DatasetConfig, root: Path, pairs: Mapping[str, Sequence[Pair]]
) -> Manifest:
    """Validate every sample, then write lists, checksums and manifest into `folder`.

    `pairs` maps each split to (image, label) paths relative to `root`. Nothing is written, and
    DataError names the file or split, unless: every split is non-empty, has no sample twice and
    has exactly the number of images in `config.counts`; every file exists and decodes; image and
    label have one size; every label is a class or `ignore_index` after `config.label_map`. Only
    images of the split for `test` may have NO_LABEL.
    """
    _check_splits(config, pairs)
    root = Path(os.path.abspath(root))
    for image, label in sorted({pair for split in pairs.values() for pair in split}):
        if label == NO_LABEL:
            check_image(root / image)
        else:
            _check_sample(config, root / image, root / label)
    files = sorted({p for split in pairs.values() for pair in split for p in pair if p != NO_LABEL})
    checksums = "".join(f"{sha256_file(root / path)}  {path}\n" for path in files)

    clear(folder)
    for split, samples in pairs.items():
        lines = "".join(f"{image} {label}\n" for image, label in samples)
        write_text(_list_path(folder, split), lines)
    write_text(folder / CHECKSUMS, checksums)
    here = Path(os.path.abspath(folder))
    write_json(
        folder / MANIFEST,
        {
            "dataset": config.name,
            "layout": config.layout,
            "root": root.relative_to(here).as_posix() if root.is_relative_to(here) else str(root),
            "fingerprint": _fingerprint(folder, pairs),
            "splits": {split: {"images": len(samples)} for split, samples in pairs.items()},
            "stand_in": config.generate is not None,
        },
    )
    return Manifest.load(folder)


def clear(folder: Path) -> None:
    """Remove a manifest, its lists and checksums, and what a killed writer left of them."""
    (folder / MANIFEST).unlink(missing_ok=True)
    (folder / CHECKSUMS).unlink(missing_ok=True)
    remove_unfinished(folder, MANIFEST, CHECKSUMS)
    if (folder / LISTS).exists():
        shutil.rmtree(folder / LISTS)


def verify(folder: Path) -> list[str]:
    """Hash every sample again: one line per missing or damaged file, none when all is well.

    Raises DataError when the manifest itself is missing or damaged.
    """
    manifest = Manifest.load(folder)
    problems = []
    try:
        lines = list_text(folder / CHECKSUMS).splitlines()
    except ValueError as error:
        raise _damaged(folder / CHECKSUMS, reason(error)) from error
    for line in lines:
        expected, _, name = line.partition("  ")
        path = manifest.root / name
        try:
            found = sha256_file(path)
        except FileNotFoundError:
            problems.append(f"{path}: missing")
            continue
        except (OSError, ValueError) as error:
            problems.append(f"{path}: cannot be read ({reason(error)})")
            continue
        if found != expected:
            problems.append(f"{path}: damaged (SHA-256 {found}, expected {expected})")
    return problems


def read_list(path: Path) -> list[Pair]:
    """The `image label` lines of a list file; raises DataError naming the file and the line."""
    try:
        text = list_text(path)
    except ValueError as error:
        raise DataError(f"{path}: list cannot be read ({reason(error)}); restore it") from error
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise DataError(
                f"{path}:{number}: {line[:200]!r}; expected `image label`, two paths without spaces"
            )
        pairs.append((fields[0], fields[1]))
    return pairs


def _check_splits(config: DatasetConfig, pairs: Mapping[str, Sequence[Pair]]) -> None:
    name = config.name
    for split in sorted({*config.splits.values(), *config.counts} - set(pairs)):
        raise DataError(
            f"{name}: split `{split}` does not exist; "
            f"this preparation gives {', '.join(sorted(pairs))}"
        )
    for split, samples in pairs.items():
        if not samples:
            raise DataError(f"{name}: split `{split}` is empty; complete the source of the images")
        seen: set[str] = set()
        for image, label in samples:
            for path in (image, label):
                _check_path(name, split, path)
            if label == NO_LABEL and split != config.splits.get("test"):
                raise DataError(
                    f"{name}: split `{split}`: {image} has no label; only a split with the role "
                    "`test` may do without"
                )
            if image in seen:
                raise DataError(f"{name}: split `{split}` lists {image} twice; remove one line")
            seen.add(image)
        expected = config.counts.get(split, len(samples))
        if len(samples) != expected:
            raise DataError(
                f"{name}: split `{split}`: expected {expected} images, found {len(samples)}; "
                f"complete the source of the images, or correct `counts.{split}`"
            )


def _check_path(name: str, split: str, path: str) -> None:
    # Lists separate by a space, and sha256sum escapes backslashes and line breaks.
    if not path or "\\" in path or any(c.isspace() for c in path):
        raise DataError(
            f"{name}: split `{split}`: {path!r} contains a space or a backslash; rename the file"
        )
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise DataError(f"{name}: split `{split}`: {path!r} leaves the dataset's folder")


def _check_sample(config: DatasetConfig, image: Path, label: Path) -> None:
    size, (label_size, values) = check_image(image), check_label(label)
    if size != label_size:
        raise DataError(
            f"{label}: label is {_size(label_size)}, its image {image.name} is "
            f"{_size(size)} (width x height); they must be equal"
        )
    for value in values:
        mapped = config.label_map.get(value, value)
        if mapped != config.ignore_index and not 0 <= mapped < len(config.classes):
            raise DataError(
                f"{label}: label value {value} (in training: {mapped}); expected "
                f"0..{len(config.classes) - 1} or {config.ignore_index} after `label_map` of "
                f"dataset `{config.name}`"
            )


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _list_path(folder: Path, split: str) -> Path:
    return folder / LISTS / f"{split}.txt"


def _fingerprint(folder: Path, splits: Mapping[str, object]) -> str:
    digest = hashlib.sha256()
    try:
        for path in (folder / CHECKSUMS, *(_list_path(folder, split) for split in sorted(splits))):
            digest.update(read_bounded(path, MAX_BYTES))
    except (OSError, ValueError) as error:
        raise _damaged(folder / MANIFEST, f"{path}: {reason(error)}") from error
    return digest.hexdigest()


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: damaged ({reason}); delete it and prepare the dataset again")
