"""Reports and claims made up for a test: what it says, and something everywhere else."""

from __future__ import annotations

import hashlib
from typing import Any, get_args

from pipeline.reports.model.claims import JudgedClaim
from pipeline.reports.model.report import Origin, Report, ReportedCell

CELL = {
    "dataset": "voc2012aug",
    **dict.fromkeys(("published", "ours", "spread", "difference", "verdict", "profile", "speed")),
    **dict.fromkeys(("note", "failed", "released")),
    "source": "trained",
    "metric": "miou",
    "runs": [],
}
RUN = {
    "seed": 0,
    "evaluation": "plain",
    "value": 0.0,
    "trained_on": "cpu",
    "evaluated_on": "cpu",
}
DATASET = {
    **{"published": "voc2012aug", "used": "voc2012aug", "title": "VOC", "split": "val"},
    **dict.fromkeys(("fingerprint", "images", "majority_class_miou")),
    "stand_in": False,
}
ORIGINS = get_args(Origin)
CLAIM = {
    **{"claim": "made-up", "says": "Wide is better", "where": "section 5", "bold": False},
    **{"reading": None, "note": None, "paper": {"status": "holds"}, "ours": {"status": "pending"}},
}


def key_of(text: str) -> str:
    return sha256_of(text)[:16]


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def a_run(run: str, weights: str, **changes: Any) -> dict[str, Any]:
    """run, weights: any texts; equal ones are equal keys and hashes."""
    return RUN | {"run": key_of(run), "weights_sha256": sha256_of(weights)} | changes


def a_cell(cell: str, **changes: Any) -> ReportedCell:
    return ReportedCell.model_validate(CELL | {"cell": cell} | changes)


def a_report(cells: list[ReportedCell], **changes: Any) -> Report:
    """One row of these cells, each in a column of its own name."""
    content = {
        **{"table": "all", "title": "All", "source": "nobody", "unit": "mIoU %", "decimals": 2},
        "preset": {"name": "toy", "title": "toy scale", "judged": False, "shows": "Nothing."},
        **{"seeds": max((len(cell.runs) for cell in cells), default=1) or 1, "trains": True},
        **{"datasets": [DATASET], "devices": [], "code": [], "not_comparable": None},
        **{"columns": [cell.cell for cell in cells], "rows": [{cell.cell: cell for cell in cells}]},
        **{"settings": {origin: [] for origin in ORIGINS}, "notes": [], "same_weights": []},
        "rank_agreement": {},
    }
    return Report.model_validate(content | changes)


def a_claim(**changes: Any) -> JudgedClaim:
    return JudgedClaim.model_validate(CLAIM | changes)
