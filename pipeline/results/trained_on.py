"""What a run was trained on, in a word or two, and whether training again gives the same bits."""

from __future__ import annotations

from pipeline.results.schemas import Trained


def trained_on(trained: Trained) -> str:
    """Such as "cpu", where the same key gives the same bits, or "cuda, bits not reproducible".

    A GPU's do with `execution: {deterministic: true}`: "cuda, deterministic".
    """
    known = [(a.environment, a.parameters) for a in trained.attempts if a.environment is not None]
    known = known or [(trained.environment, None)]
    places = [environment.device for environment, _ in known]
    kinds = list(dict.fromkeys(place.type for place in places))
    if kinds == ["cpu"]:
        return "cpu"
    wanted = all(given is not None and given.execution.deterministic for _, given in known)
    alike = len({place.name for place in places}) == 1
    bits = "deterministic" if wanted and alike else "bits not reproducible"
    return f"{' and '.join(kinds)}, {bits}"


def in_words(device: str, form: str | None, tf32: list[str] | None) -> str:
    """`form` as dmnet/inference/form.py calls it, `tf32` as dmnet/provenance.py lists it; earlier
    results have neither."""
    parts = [device]
    if tf32:
        parts.append(f"TF32 in {' and '.join(tf32)}")
    if form not in (None, "plain"):
        parts.append(f"{form} form")
    return ", ".join(parts)
