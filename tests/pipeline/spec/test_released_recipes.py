"""Every leaf of the 44 released configurations against our run of that row at preset `paper`.

tests/golden/{mmseg,ssseg}_rows.json hold the configurations, resolved by the zoos' own code;
released/ writes our runs in their words and compares. released/differences.yaml is the one list of
what differs on purpose.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from dmnet.config import OHEMConfig, Section, WeightsConfig
from pipeline.experiments import build_experiment
from pipeline.spec.params import Params
from tests.pipeline.spec.released.comparison import (
    LISTS,
    differing,
    leaves,
    released,
    their_steps,
    unexplained,
    unused,
)
from tests.pipeline.spec.released.mmsegmentation import as_mmsegmentation
from tests.pipeline.spec.released.rows import OurRow, Tree, our_rows
from tests.pipeline.spec.released.sssegmentation import as_sssegmentation

ROOT = Path(__file__).resolve().parents[3]
TABLES = {
    "mmseg_dmnet": "mmsegmentation",
    "mmseg_deeplabv3": "mmsegmentation",
    "mmseg_bisenetv2": "mmsegmentation",
    "ssseg_dmnet": "sssegmentation",
}
IN_THEIR_WORDS = {"mmsegmentation": as_mmsegmentation, "sssegmentation": as_sssegmentation}
TYPO = "NOTE_key_models_not_model"  # so recorded: release 1.2.2's `models`, which has no effect


def read(name: str) -> Any:
    return json.loads((ROOT / "tests" / "golden" / f"{name}.json").read_text())


RECORDED = {"mmsegmentation": read("mmseg_rows"), "sssegmentation": read("ssseg_rows")}


def configuration(zoo: str, checkpoint: str) -> str:
    """The file of the release for the README's row with this checkpoint.

    dmnet_r50-d8_512x1024_40k_cityscapes is dmnet/dmnet_r50-d8_4xb2-40k_cityscapes-512x1024.py,
    bisenetv2_fcn_fp16_4x4_... is bisenetv2/bisenetv2_fcn_4xb4-amp-...
    """
    if zoo == "sssegmentation":
        return f"dmnet/{checkpoint}.py"
    name = re.fullmatch(
        r"([a-z0-9]+_(?:r\d+-d8|fcn))(?:_(ohem|fp16))?(?:_4x(\d))?_(\d+x\d+)_(\d+k)_(\w+)",
        checkpoint,
    )
    assert name is not None, checkpoint
    model, kind, batch, crop, iterations, data = name.groups()
    kind = {"ohem": "ohem-", "fp16": "amp-"}.get(kind, "")
    start, end = f"{model}_4xb{batch or ''}", f"-{kind}{iterations}_{data}-{crop}.py"
    files = [file for file in RECORDED[zoo]["rows"] if f"/{start}" in file and file.endswith(end)]
    (found,) = [file for file in files if len(file.partition("4xb")[2]) == len(end) + 1]
    return str(found)


def theirs(zoo: str, file: str, as_titled: bool) -> Tree:
    """The released configuration; `as_titled`: with OHEM under the key that was meant."""
    tree: Tree = copy.deepcopy(RECORDED[zoo]["rows"][file])
    meant = tree.pop(TYPO, {})
    if meant and as_titled:
        tree["head"] |= meant["decode_head"]
        tree["aux"] = meant["auxiliary_head"]
        tree["data_preprocessor"] = meant["data_preprocessor"]
    if zoo == "mmsegmentation":
        tree["train_pipeline"] = their_steps(tree["train_pipeline"])
        tree["val_pipeline"] = their_steps(tree["val_pipeline"])
        every = RECORDED[zoo]
        tree["tta"] = tree["test_cfg"] | {"scales": every["tta_scales"], "flip": every["tta_flip"]}
    else:
        for part in ("train", "test"):
            steps = tree["dataset"][part]["data_pipelines"]
            tree["dataset"][part]["data_pipelines"] = their_steps(steps)
    return tree


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[str, OurRow]]:
    """zoo and configuration -> our row; one configuration has two of ours."""
    experiment = build_experiment("paper", params=Params(ROOT / "params"), tables=tuple(TABLES))
    found = {}
    for table, zoo in TABLES.items():
        ours = our_rows(experiment, table)
        for row in ours.values():
            if row.cell.spec.checkpoint is not None:
                file = configuration(zoo, row.cell.spec.checkpoint)
                end = ", as titled" if TYPO in RECORDED[zoo]["rows"][file] else ""
                assert f"{zoo} {file}{end}" not in found
                found[f"{zoo} {file}{end}"] = zoo, row
        if "ohem-as-released" in ours:
            file = configuration(zoo, ours["ohem"].cell.spec.checkpoint)
            found[f"{zoo} {file}, as released"] = zoo, ours["ohem-as-released"]
    return found


@pytest.fixture(scope="module")
def pairs(rows: dict[str, tuple[str, OurRow]]) -> dict[str, tuple[dict, dict]]:
    """zoo and configuration -> the leaves of (ours, theirs)"""
    found = {}
    for name, (zoo, row) in rows.items():
        ours = dict(leaves(IN_THEIR_WORDS[zoo](row)))
        file = name.removeprefix(f"{zoo} ").partition(",")[0]
        tree = theirs(zoo, file, as_titled=name.endswith("as titled"))
        found[name] = ours, released(name, tree, ours)
    return found


def test_every_row_of_the_readmes_is_compared(rows: dict[str, tuple[str, OurRow]]) -> None:
    files = {name.partition(",")[0] for name in rows}
    assert files == {f"{zoo} {file}" for zoo, every in RECORDED.items() for file in every["rows"]}
    assert (len(files), len(rows)) == (44, 45)


def test_every_leaf_is_the_releases_or_differs_for_a_listed_reason(
    pairs: dict[str, tuple[dict, dict]],
) -> None:
    lines = [line for name, pair in pairs.items() for line in unexplained(name, *pair)]
    assert lines + unused(pairs) == []


def test_what_is_left_out_is_little_and_recorded() -> None:
    trees = [theirs(zoo, file, True) for zoo, all_ in RECORDED.items() for file in all_["rows"]]
    recorded = [path for tree in trees for path, _ in leaves(tree)]
    patterns = [entry["leaf"] for entry in LISTS["left_out"]]
    left_out = {name: sum(fnmatchcase(path, name) for path in recorded) for name in patterns}
    assert all(left_out.values()) and sum(left_out.values()) < len(recorded) / 20, left_out


# ------------------------------------------------- a change on our side is seen, whatever it is

WORDS = [("plain", "deep"), ("mean", "black"), ("fp32", "amp"), ("probabilities", "logits")]
CHANGED = {50: 101, 101: 50, 5: 4, 4: 3} | {a: b for pair in WORDS for a, b in (pair, pair[::-1])}
WHERE_NONE = {"ohem": OHEMConfig(min_kept=3), "stem_channels": 32, "loss_scale": 3.0}


def another(field: str, value: Any) -> Any:
    """Some other value of the same kind."""
    if value is None:
        return WHERE_NONE.get(field, (33, 33))
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (another(field, value[0]), *value[1:])
    return CHANGED.get(value, f"not {value}" if isinstance(value, str) else 2 * value or 1)


def settings(section: Section, path: str = "") -> Iterator[tuple[str, Section]]:
    """Every setting below a section, and the section with another value there and nowhere else.

    What picks a schema (`name`), how a file is called and what has one legal value stay.
    """
    for field, info in type(section).model_fields.items():
        value = getattr(section, field)
        one = get_origin(info.annotation) is Literal and len(get_args(info.annotation)) == 1
        if one or isinstance(section, WeightsConfig):
            continue
        inner: Iterator[tuple[str, Any]]
        if isinstance(value, Section):
            inner = settings(value, f"{field}.")
        elif isinstance(value, dict):
            key, entry = next(iter(value.items()))
            inner = ((sub, {**value, key: new}) for sub, new in settings(entry, f"{field}.{key}."))
        else:
            inner = iter([(field, another(field, value))])
        for name, new in inner:
            yield f"{path}{name}", section.model_copy(update={field: new})
        if isinstance(value, WeightsConfig):
            yield f"{path}{field}", section.model_copy(update={field: None})


@pytest.mark.parametrize(
    ("name", "without_effect"),
    [
        # The files have no word for what has no effect: windows where whole images are looked at,
        # the loss scale in float32, the warm-up's start without one.
        ("mmsegmentation *deeplabv3_r50-d8_4xb2-40k_*-769x769.py", {"recipe.loss_scale"}),
        ("mmsegmentation *dmnet_r50-d8_4xb4-80k_*", {"recipe.loss_scale", "windows"}),
        ("mmsegmentation *-amp-*", {"windows"}),
        ("mmsegmentation *, as titled", {"recipe.loss_scale", "windows"}),
        ("sssegmentation *resnet50os8_voc.py", {"recipe.loss_scale"}),
    ],
)
def test_a_change_of_any_setting_is_a_difference(
    rows: dict[str, tuple[str, OurRow]], name: str, without_effect: set[str]
) -> None:
    """Of the model, the recipe and both protocols, one at a time."""
    ((zoo, row),) = [found for row, found in rows.items() if fnmatchcase(row, name)]
    before = dict(leaves(IN_THEIR_WORDS[zoo](row)))
    unseen, changes = set(), 0
    for part in ("model", "recipe", "inference", "multi_scale"):
        for setting, section in settings(getattr(row, part)) if getattr(row, part) else ():
            changed = dataclasses.replace(row, **{part: section})
            changes += 1
            if not differing(dict(leaves(IN_THEIR_WORDS[zoo](changed))), before):
                unseen.add(f"{part}.{setting}")
    assert changes > 40
    if "windows" in without_effect:
        protocols = [part for part in ("inference", "multi_scale") if getattr(row, part)]
        windows = {f"{part}.{side}" for part in protocols for side in ("window", "stride")}
        without_effect = without_effect - {"windows"} | windows
    warmup = set() if row.recipe.warmup_iterations else {"recipe.warmup_factor"}
    assert unseen == without_effect | warmup
