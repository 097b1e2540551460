"""`reports/<table>-submission.json`: what is in the archive for a test server."""

from __future__ import annotations

from pipeline.reports.model.base import Name, ReportPart
from pipeline.results.schemas import Count, File, FileName, Key, Sha256


class Archive(ReportPart):
    table: str
    preset: Name
    notice: str  # whether it is meant for upload
    archive: File
    member: str  # its folder
    images: Count
    encoding: str
    run: Key
    weights_sha256: Sha256
    evaluation: FileName
    evaluation_hash: Sha256
    dataset: Name
    data_fingerprint: Sha256
