"""What a run was trained on, in a word or two, and whether its bits come again there."""

from __future__ import annotations

from typing import Any


def trained_on(trained: dict[str, Any]) -> str:
    """Such as "cpu", where the same key gives the same bits, or "cuda, bits not reproducible".

    A GPU's do with `execution: {deterministic: true}`: "cuda, deterministic".
    trained: `train.json`, which has passed its schema.
    """
    attempts = [a for a in trained.get("attempts", []) if a.get("environment")] or [trained]
    places = [attempt["environment"]["device"] for attempt in attempts]
    kinds = list(dict.fromkeys(place["type"] for place in places))
    if kinds == ["cpu"]:
        return "cpu"
    executions = [(a.get("parameters") or {}).get("execution") or {} for a in attempts]
    wanted = all(execution.get("deterministic") for execution in executions)
    alike = len({place.get("name") for place in places}) == 1
    bits = "deterministic" if wanted and alike else "bits not reproducible"
    return f"{' and '.join(kinds)}, {bits}"
