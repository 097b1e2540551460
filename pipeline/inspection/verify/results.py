"""Predicted label maps, counts, measurements of speed, and the prepared data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dmnet.config import ProfileConfig, SpeedConfig, content_hash, parse
from dmnet.data.manifest import Manifest
from dmnet.data.manifest import verify as verify_samples
from dmnet.errors import ConfigError
from pipeline import paths
from pipeline.inspection.verify.findings import MALFORMED, Findings
from pipeline.results.schemas import Counted, Predicted, Timed


def verify_predictions(findings: Findings) -> None:
    """Every label map by its hash; run and weights."""
    for file in sorted(findings.root.glob(paths.prediction("*", "*"))):
        path = paths.prediction(file.parent.name, file.stem)
        with findings.reading(path, findings.todo(path, f"delete {path} and run again")):
            verify_prediction(findings, path)


def verify_prediction(findings: Findings, path: str) -> None:
    """One set of label maps by its manifest."""
    _, key, _ = path.split("/")
    todo = findings.todo(path, f"delete {path} and run again")
    content = findings.json(path, todo, schema=Predicted)
    if content is None:
        return
    findings.checked["sets of predictions"] += 1
    findings.by_one_code(path, content)
    findings.same(path, "run", key, content.get("run"), todo)
    trained = paths.trained_of(path)
    if findings.there(trained):
        weights = findings.weights_of(trained)
        digest = content.get("weights_sha256")
        findings.same(path, f"weights of {trained}:", weights, digest, todo)
    else:
        findings.lost(trained, path, todo)
    files: dict[str, str] = content["files"]
    folder = path.removesuffix(".json")
    here = {file.name for file in (findings.root / folder).glob("*")}
    for extra in sorted(here - files.keys()):
        findings.add(path, "an image for every file beside it", extra, f"delete {extra}")
    for image_name, digest in files.items():
        image = f"{folder}/{image_name}"
        if findings.there(image):
            findings.hashed(image, digest, "predicted images", todo)
        else:
            findings.add(image, f"the image that {path} names", "none", todo)


def verify_measurements(findings: Findings) -> None:
    """Counts and speeds: each is of the configuration that its name is the hash of."""
    kinds = (
        (paths.count, "profile", ProfileConfig, Counted),
        (paths.speed, "speed", SpeedConfig, Timed),
    )
    for path_of, name, config, schema in kinds:
        for file in sorted(findings.root.glob(path_of("*"))):
            path = path_of(file.stem)
            todo = findings.todo(path, "delete the file and run again")
            with findings.reading(path, todo):
                content = findings.json(path, todo, schema=schema)
                if content is not None:
                    _verify_measurement(findings, path, name, config, content)


def _verify_measurement(
    findings: Findings,
    path: str,
    name: str,
    schema: type[ProfileConfig] | type[SpeedConfig],
    content: dict[str, Any],
) -> None:
    todo = findings.todo(path, "delete the file and run again")
    findings.checked["counts" if name == "profile" else "measurements of speed"] += 1
    findings.by_one_code(path, content)
    key = Path(path).stem
    findings.same(path, "key", key, content.get(name), todo)
    try:
        config = parse(schema, content.get("config") or {}, path)
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
        except MALFORMED as error:
            findings.add(path, "a whole dataset", str(error), todo)
            continue
        if not quick:
            findings.checked["images with a label"] += sum(manifest.splits.values())
        for problem in problems:
            name, _, what = problem.partition(": ")
            name = os.path.relpath(name, findings.root)
            findings.add(name, f"the file of {Path(path).parent}/checksums.sha256", what, todo)
