"""Predicted label maps, counts, measurements of speed, and the prepared data."""

from __future__ import annotations

import os
from pathlib import Path

from dmnet.config import CountConfig, SpeedConfig, content_hash, parse
from dmnet.data.manifest import Manifest
from dmnet.data.manifest import verify as verify_samples
from dmnet.errors import ConfigError, DataError
from pipeline import paths
from pipeline.inspection.verify.findings import Findings
from pipeline.results.made_by import code_marks
from pipeline.results.schemas import Counted, MeasurementFile, Predicted, Timed


def verify_predictions(findings: Findings) -> None:
    """Every label map by its hash; run and weights."""
    for file in sorted(findings.root.glob(paths.prediction("*", "*"))):
        verify_prediction(findings, paths.prediction(file.parent.name, file.stem))


def verify_prediction(findings: Findings, path: str) -> None:
    """One set of label maps by its manifest."""
    _, key, _ = path.split("/")
    todo = findings.todo(path, f"delete {path} and run again")
    content = findings.result(path, todo, Predicted)
    if content is None:
        return
    findings.checked["sets of predictions"] += 1
    findings.noted += code_marks(path, content)
    findings.same(path, "run", key, content.run, todo)
    findings.same_weights(path, paths.trained_of(path), content.weights_sha256, todo)
    folder = path.removesuffix(".json")
    here = {file.name for file in (findings.root / folder).glob("*")}
    for extra in sorted(here - content.files.keys()):
        findings.add(path, "an image for every file beside it", extra, f"delete {extra}")
    for image_name, digest in content.files.items():
        image = f"{folder}/{image_name}"
        if not findings.hashed(image, digest, "predicted images", todo):
            findings.add(image, f"the image that {path} names", "none", todo)


def verify_measurements(findings: Findings) -> None:
    """Counts and speeds: each is of the configuration that its name is the hash of."""
    for file in sorted(findings.root.glob(paths.count("*"))):
        _verify_measurement(findings, paths.count(file.stem), "counts", Counted, CountConfig)
    for file in sorted(findings.root.glob(paths.speed("*"))):
        path, kind = paths.speed(file.stem), "measurements of speed"
        _verify_measurement(findings, path, kind, Timed, SpeedConfig)


def _verify_measurement(
    findings: Findings,
    path: str,
    kind: str,
    schema: type[MeasurementFile],
    of: type[CountConfig] | type[SpeedConfig],
) -> None:
    todo = findings.todo(path, "delete the file and run again")
    content = findings.result(path, todo, schema)
    if content is None:
        return
    findings.checked[kind] += 1
    findings.noted += code_marks(path, content)
    key = Path(path).stem
    findings.same(path, "key", key, content.key, todo)
    try:
        config = parse(of, content.config, path)
    except ConfigError as error:
        findings.add(path, "a configuration of this version of the code", str(error), todo)
        return
    findings.same(path, "its configuration's key", key, content_hash(config)[:16], todo)


def verify_data(findings: Findings, quick: bool) -> None:
    """Lists, checksums and fingerprint of every prepared dataset, and, unless quick, its files."""
    for file in sorted(findings.root.glob(paths.data_manifest("*"))):
        path = paths.data_manifest(file.parent.name)
        todo = f"restore the files, or delete {path} and prepare the dataset again"
        findings.checked["datasets" + (" (images not read)" if quick else "")] += 1
        try:
            manifest = Manifest.load(file.parent)
            problems = [] if quick else verify_samples(file.parent)
        except DataError as error:
            findings.add(path, "a whole dataset", str(error), todo)
            continue
        if not quick:
            findings.checked["images with a label"] += sum(manifest.splits.values())
        for problem in problems:
            name, _, what = problem.partition(": ")
            name = os.path.relpath(name, findings.root)
            findings.add(name, f"the file of {Path(path).parent}/checksums.sha256", what, todo)
