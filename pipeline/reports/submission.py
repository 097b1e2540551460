"""The archive for a test server: predicted images, each verified, packed in the server's layout.

    predictions/<key>/<name>.json     the manifest that names the images' SHA-256
    predictions/<key>/<name>/*.png    one PNG per test image, in the benchmark's own values
        |
        v
    reports/<table>-submission.tar    <member>/<id>.png and nothing else
    reports/<table>-submission.json   its SHA-256, the run, the weights, the number of images

The layout is that of the VOC2012 development kit, section "Submission of Results" of the
segmentation task. Equal predictions give equal bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dmnet.config import content_hash
from dmnet.data.manifest import Manifest
from dmnet.errors import DataError
from dmnet.files import MAX_BYTES, atomic_write, read_bounded, sha256_bytes, sha256_file, write_text
from dmnet.text import reason
from pipeline import paths
from pipeline.errors import ResultError
from pipeline.experiments import Experiment, Submission, find_submission
from pipeline.reports.model.base import json_of
from pipeline.reports.model.submission import Archive
from pipeline.results.cells import check_facts
from pipeline.results.files import read_result_file
from pipeline.results.schemas import File, Predicted, Weights

if TYPE_CHECKING:
    from dmnet.inference.encoding import Encoding

REHEARSAL = "a rehearsal: not for upload"
PALETTE_CHANNELS = 3
_UNPREDICTED = "predict again"


def write_submission(
    experiment: Experiment,
    table: str,
    predictions: Path,
    folder: Path,
    root: Path = Path("."),
) -> Archive:
    """Verify the predictions, then write archive and JSON into `folder`; returns what it says.

    `root` holds `data/` and `runs/`. Raises SpecError when the table has no submission at this
    preset, and ResultError, DataError or RunError, naming the file, when the predictions are of
    another run, weights, protocol or dataset, an image is missing or there is one too many, or an
    image is not what the server reads. Then neither file is there.
    """
    submission = find_submission(experiment, table)
    output = folder / f"{table}-submission.json"
    archive = output.with_suffix(".tar")
    for path in (output, archive):  # the first would name the archive's earlier content
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ResultError(
                f"{path}: cannot be replaced ({reason(error)}); move it away and run again"
            ) from error
    data = Manifest.load(root / "data" / submission.dataset.name)
    data.require(submission.dataset)
    content = _read_manifest(submission, predictions, data, root)
    encoding = _official(submission, predictions, content)
    photographs = {f"{path.stem}.png": path for path, _ in data.pairs(submission.config.split)}
    _check_names(predictions, photographs, content.files)
    images = _verified(encoding, predictions.with_suffix(""), photographs, content.files)
    with (
        atomic_write(archive) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, image in images:
            # A new TarInfo has time, owner and group 0, no names, and mode 0644.
            member = tarfile.TarInfo(f"{submission.member}/{name}")
            member.size = len(image)
            tar.addfile(member, io.BytesIO(image))
    rehearsal = not experiment.preset.judged or data.stand_in
    result = Archive(
        table=table,
        preset=experiment.preset_name,
        notice=REHEARSAL if rehearsal else "for upload",
        archive=File(file=archive.name, sha256=sha256_file(archive)),
        member=submission.member,
        images=len(photographs),
        encoding=encoding.name,
        run=submission.run_key,
        weights_sha256=content.weights_sha256,
        evaluation=submission.name,
        evaluation_hash=content.evaluation_hash,
        dataset=submission.dataset.name,
        data_fingerprint=data.fingerprint,
    )
    write_text(output, json_of(result))
    return result


def describe_submission(result: Archive, folder: Path) -> str:
    """One line for people: the file, what is in it, and whether it is meant for upload."""
    return (
        f"{folder / result.archive.file}: {result.images} images of run {result.run}, "
        f"weights {result.weights_sha256[:12]}; {result.notice}"
    )


def _read_manifest(submission: Submission, path: Path, data: Manifest, root: Path) -> Predicted:
    """The predictions' manifest, of this run's present weights, this protocol and these images."""
    if not path.exists():
        raise ResultError(f"{path}: missing; run `snakemake {submission.predictions}`")
    content = read_result_file(path, Predicted)
    trained = read_result_file(root / paths.trained(submission.run_key), Weights)
    facts = (
        ("run", content.run, submission.run_key),
        ("evaluation", content.evaluation_hash, content_hash(submission.config)),
        ("dataset", content.data_fingerprint, data.fingerprint),
        ("weights", content.weights_sha256, trained.weights.sha256),
    )
    check_facts(path, facts)
    return content


def _official(submission: Submission, path: Path, content: Predicted) -> Encoding:
    """The benchmark's encoding, which the predictions have to be written in."""
    from dmnet.inference.encoding import encoding_from, encoding_of

    data = submission.config.data
    official = encoding_of(data)
    try:
        encoding = encoding_from({"encoding": content.encoding}, data.classes)
    except DataError as error:
        raise ResultError(f"{path}: {error}; delete it and {_UNPREDICTED}") from error
    if not encoding.same_files(official):
        raise ResultError(
            f"{path}: written in {encoding.name}, expected {official.name}, which the server "
            f"reads; delete it and {_UNPREDICTED}"
        )
    return official


def _check_names(path: Path, expected: Iterable[str], found: Iterable[str]) -> None:
    wanted, given = set(expected), set(found)
    if missing := sorted(wanted - given):
        raise ResultError(
            f"{path}: no prediction {missing[0]} ({len(missing)} of {len(wanted)} test images are "
            f"without one); delete it and {_UNPREDICTED}"
        )
    if extra := sorted(given - wanted):
        raise ResultError(
            f"{path}: {extra[0]} belongs to no test image ({len(extra)} such); "
            f"delete it and {_UNPREDICTED}"
        )


def _verified(
    encoding: Encoding,
    folder: Path,
    photographs: Mapping[str, Path],
    files: Mapping[str, str],
) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every prediction in the order of the names, each as the server reads it."""
    for name in sorted(photographs):
        path = folder / name
        try:
            content = read_bounded(path, MAX_BYTES)
        except (OSError, ValueError) as error:
            raise ResultError(
                f"{path}: cannot be read ({reason(error)}); {_UNPREDICTED}"
            ) from error
        if (found := sha256_bytes(content)) != files[name]:
            raise ResultError(
                f"{path}: damaged (SHA-256 {found[:16]}, expected {files[name][:16]}); "
                f"delete it and {_UNPREDICTED}"
            )
        _check_image(path, content, photographs[name], encoding)
        yield name, content


def _check_image(path: Path, content: bytes, photograph: Path, encoding: Encoding) -> None:
    """A PNG of 8 bits, grey or with the benchmark's palette, its values, the photograph's size."""
    import numpy as np
    from PIL import Image

    from dmnet.data.decode import UNREADABLE, read_content
    from dmnet.data.voc2012 import palette

    mode, kind = ("P", "palette") if encoding.palette is not None else ("L", "grey")
    wanted = f"an 8-bit {kind} PNG"
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            stored = image.tile[0][3] if image.tile else None
            image.load()
            if image.mode != mode or stored != mode:
                raise _unfit(path, f"mode {stored or image.mode}", wanted)
            colours = image.getpalette() or []
            values = np.asarray(image)
            size = image.size
    except UNREADABLE as error:
        raise _unfit(path, f"not decodable ({reason(error)})", wanted) from error
    if encoding.palette is not None:
        needed = PALETTE_CHANNELS * (max(encoding.values) + 1)
        if len(colours) < needed or colours != palette()[: len(colours)]:
            raise _unfit(path, "another palette", "VOC's")
    try:
        encoding.classes(values)
    except DataError as error:
        raise ResultError(f"{path}: {error}; delete it and {_UNPREDICTED}") from error
    try:
        with Image.open(io.BytesIO(read_content(photograph, "image"))) as image:
            expected = image.size
    except UNREADABLE as error:
        raise DataError(
            f"{photograph}: not decodable ({reason(error)}); prepare the dataset again"
        ) from error
    if size != expected:
        raise _unfit(path, f"{size[0]}x{size[1]} pixels", f"{expected[0]}x{expected[1]}")


def _unfit(path: Path, found: str, expected: str) -> ResultError:
    return ResultError(f"{path}: {found}, expected {expected}; delete it and {_UNPREDICTED}")
