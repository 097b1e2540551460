"""How a batch is divided over GPUs: both references in two and four processes, ours in 1, 2 and 4.

tests/reference/record_parts.py let the references take three steps in processes that share a batch
of sixteen: BiSeNetV2's backbone normalises in each by itself while its heads share statistics, each
chooses its own hard pixels, and each averages its loss by itself (sssegmentation over its labelled
pixels, of which there are few in the last images and in one process, once, none). In one process,
or divided otherwise, ours has to find the same losses, weights and statistics, in float64 to 1e-8.
Recordings of one process cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dmnet.config import RecipeConfig
from dmnet.errors import ConfigError
from dmnet.training.share import Share
from tests.dmnet.margins import LEAST
from tests.dmnet.replay_in_processes import Division, replay_all, values_of

Fidelity = Callable[..., None]
Golden = Callable[[str], Any]
SOURCE = "tests/golden/training_in_processes.pt"
MODELS = {
    "bisenetv2": "BiSeNetV2 (mmsegmentation)",
    "bisenetv2_ohem": "BiSeNetV2 OHEM (mmsegmentation)",
    "ssseg_dmnet": "DMNet (sssegmentation)",
}
DIVISIONS = [
    *(Division(f"{name} in {parts}", 1) for name in MODELS for parts in (2, 4)),
    *(Division(f"{name} in {parts}", 2) for name in MODELS for parts in (2, 4)),
    *(Division(f"{name} in 4", 4) for name in MODELS),
    Division("ssseg_dmnet in 2", 4),  # two processes to a part whose loss is averaged
    # Where not even the heads share statistics, the parts may come one after the other.
    Division("bisenetv2_ohem plain in 2", 1, accumulate=2),
    Division("bisenetv2_ohem plain in 2", 2),
    Division("ssseg_dmnet plain in 2", 1, accumulate=2),
    Division("ssseg_dmnet plain in 2", 2, accumulate=2),
    Division("ssseg_dmnet plain in 2", 2),
]


def parameters() -> list[Any]:
    found = []
    for division in DIVISIONS:
        how = f"{division.processes} processes, {division.accumulate} at a time"
        marks = [pytest.mark.slow] if division.processes == 4 else []
        found.append(pytest.param(division, id=f"{division.run}: {how}", marks=marks))
    return found


Replayed = Callable[[Division], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """What each process found; all divisions among equally many are replayed by the same ones."""
    found: dict[Division, list[dict[str, Any]]] = {}

    def get(division: Division) -> list[dict[str, Any]]:
        if division not in found:
            alike = [d for d in DIVISIONS if d.processes == division.processes]
            found.update(replay_all(alike, tmp_path_factory.mktemp("processes")))
        return found[division]

    return get


@pytest.mark.parametrize("division", parameters())
def test_three_steps_of_a_divided_batch(
    division: Division, replayed: Replayed, golden: Golden, fidelity: Fidelity
) -> None:
    theirs, ours = golden("training_in_processes")["runs"][division.run], replayed(division)
    margins = [margin for process in ours for margin in process["margins"]]
    assert bool(margins) is ("ohem" in division.run) and min(margins, default=1.0) > LEAST
    model = MODELS[division.run.split()[0]]
    how = f"recorded {division.run.split(maxsplit=1)[1]} processes; ours {division.processes}"
    how += f" x {division.accumulate}"
    compare = {"source": SOURCE, "limit": 1e-8}
    pairs = [
        (found[name], loss)
        for found, expected in zip(ours[0]["losses"], theirs["losses"], strict=True)
        for name, loss in expected.items()
        if not math.isnan(loss)
    ]
    found, expected = (torch.tensor(side, dtype=torch.float64) for side in zip(*pairs, strict=True))
    error = float((found / expected - 1).abs().max())
    fidelity(model, f"losses of all heads, 3 steps ({how})", 1 + error, 1.0, **compare)
    names = theirs["after"]["names"]
    norms, values = values_of(ours[0]["state"], names)
    kept = whose_statistics_are_theirs(division, names, ours[0]["state"])
    their_norms, their_values = theirs["after"]["norms"], theirs["after"]["values"]
    error = float((norms / their_norms.clamp(min=1e-12) - 1).abs()[kept].max())
    fidelity(model, f"norms of all tensors after 3 steps ({how})", 1 + error, 1.0, **compare)
    kept = kept.repeat_interleave(
        torch.tensor([min(16, ours[0]["state"][name].numel()) for name in names])
    )
    what = f"values of all tensors after 3 steps ({how})"
    fidelity(model, what, values[kept], their_values[kept], **compare)


def whose_statistics_are_theirs(
    division: Division, names: list[str], state: dict[str, Tensor]
) -> Tensor:
    """All, but where parts come one after the other: then running statistics see each of them."""
    parted = ("backbone.",) if division.run.startswith("bisenetv2") else ()
    sequential = division.accumulate > 1
    return torch.tensor(
        [
            not (sequential and name.endswith(("running_mean", "running_var", "_tracked")))
            or name.startswith(parted)
            for name in names
        ]
    )


def test_all_processes_hold_the_statistics_of_the_first(replayed: Replayed) -> None:
    """They validate with them, and go on from them."""
    first, second = replayed(Division("bisenetv2 in 2", 2))
    assert first["state"].keys() == second["state"].keys()
    assert all(torch.equal(x, second["state"][name]) for name, x in first["state"].items())


def test_where_a_gpu_has_no_label_the_reference_logs_nan_and_learns_from_the_others(
    golden: Golden, replayed: Replayed
) -> None:
    """Ours logs the others' losses, an empty part's as 0; the weights are the reference's."""
    name = "ssseg_dmnet in 4"
    assert math.isnan(golden("training_in_processes")["runs"][name]["losses"][-1]["loss_total"])
    assert math.isfinite(replayed(Division(name, 1))[0]["losses"][-1]["loss_total"])


BISENETV2 = {"backbone_bn_parts": 4, "ohem": {"min_kept": 9, "parts": 4}, "loss_average": "all"}
SSSEG = {"loss_parts": 8}


def recipe(**values: Any) -> RecipeConfig:
    plain = {"lr": 0.1, "weight_decay": 0, "iterations": 1, "batch_size": 16, "crop_size": (8, 8)}
    return RecipeConfig.model_validate({**plain, **values})


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("values", [BISENETV2, SSSEG], ids=["BiSeNetV2", "sssegmentation"])
def test_one_two_and_four_processes_may_train_what_eight_gpus_or_four_did(
    values: dict[str, Any], processes: int
) -> None:
    Share(0, processes).check(recipe(**values))
    with pytest.raises(ConfigError, match=r"recipe\.bn_parts: 1 with sync_bn true"):
        Share(0, processes, 2).check(recipe(**values))  # the heads' statistics would be others


def test_more_processes_than_parts_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"recipe\.backbone_bn_parts: 4, but 8 process.*use fewer"
    ):
        Share(0, 8).check(recipe(backbone_bn_parts=4))
    Share(0, 16).check(recipe(**SSSEG))  # a loss may be summed up by any number
