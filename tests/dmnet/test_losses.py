"""Losses and online hard example mining, by hand and against mmsegmentation's recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dmnet.config import ModelConfig, OHEMConfig
from dmnet.losses import Average, pixel_cross_entropy, segmentation_losses
from dmnet.ohem import hard_pixels, true_class_probability
from dmnet.segmentor import Logits, Segmentor
from tests.dmnet.margins import margin

Golden = Callable[[str], Any]
Fidelity = Callable[..., None]
IGNORE = 255
SOURCE, MODEL = "tests/golden/mmseg_ohem_ce.pt", "losses (mmsegmentation)"


def loss(
    logits: Tensor, labels: Tensor, average: Average, ohem: OHEMConfig | None = None
) -> Tensor:
    return pixel_cross_entropy(logits, labels, IGNORE, False, average, ohem)


@pytest.mark.parametrize(
    ("average", "recorded"),
    [("all", "plain_ce_weight0p4_avg_all"), ("labelled", "plain_ce_weight0p4_avg_non_ignore")],
)
def test_what_the_loss_is_divided_by(
    average: Average, recorded: str, golden: Golden, fidelity: Fidelity
) -> None:
    fixture = golden("mmseg_ohem_ce")
    ours = 0.4 * float(loss(fixture["logits"], fixture["labels"][:, 0], average))
    fidelity(MODEL, f"average over {average} pixels", ours, float(fixture[recorded]), source=SOURCE)


CASES = ["thresh0.7_min100", "thresh0.7_min400", "thresh0.7_min10000", "topk_min100"]


@pytest.mark.parametrize("name", CASES)
def test_ohem_is_mmsegmentations(name: str, golden: Golden, fidelity: Fidelity) -> None:
    fixture = golden("mmseg_ohem_ce")
    assert set(fixture["cases"]) == set(CASES)
    case, labels = fixture["cases"][name], fixture["labels"][:, 0]
    threshold = None if case["thresh"] < 0 else case["thresh"]
    ohem = OHEMConfig(threshold=threshold, min_kept=case["min_kept"])
    logits = fixture["logits"].clone().requires_grad_()
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    probability = true_class_probability(logits, labels, IGNORE)
    assert margin(probability, labels, losses, IGNORE, ohem) > 1e-6  # and float32 leaves 1e-7
    kept = hard_pixels(probability, labels, losses, IGNORE, ohem)
    fidelity(MODEL, f"OHEM {name}: pixels", kept, case["weight"].bool(), source=SOURCE)
    total = loss(logits, labels, "all", ohem)
    total.backward()
    found = float(total.detach())
    fidelity(MODEL, f"OHEM {name}: loss", found, float(case["loss"]), source=SOURCE)
    fidelity(MODEL, f"OHEM {name}: gradient", logits.grad, case["grad"], source=SOURCE)


def scores(probabilities: list[float]) -> tuple[Tensor, Tensor]:
    """(1, 2, 1, w) logits that give the true class (0) these probabilities, and its labels."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([p.log(), (1 - p).log()])[None, :, None], torch.zeros(1, 1, len(p)).long()


@pytest.mark.parametrize(
    ("threshold", "min_kept", "kept"),
    [
        (0.55, 1, [0.1, 0.3, 0.5]),
        (0.2, 1, [0.1]),
        (0.2, 3, [0.1, 0.3, 0.5]),  # the threshold rises to 0.7, and 0.7 is not below it
        (0.2, 9, [0.1, 0.3, 0.5, 0.7]),  # never the easiest pixel of the batch
        (None, 2, [0.1, 0.3]),
        (None, 9, [0.1, 0.3, 0.5, 0.7, 0.9]),
    ],
)
def test_which_pixels_are_hard(threshold: float | None, min_kept: int, kept: list[float]) -> None:
    values = [0.9, 0.1, 0.7, 0.3, 0.5]
    logits, labels = scores(values)
    losses = F.cross_entropy(logits, labels, reduction="none")
    ohem = OHEMConfig(threshold=threshold, min_kept=min_kept)
    probability = true_class_probability(logits, labels, IGNORE)
    chosen = hard_pixels(probability, labels, losses, IGNORE, ohem)[0, 0]
    assert sorted(v for v, c in zip(values, chosen.tolist(), strict=True) if c) == kept


def test_the_number_of_kept_pixels_grows_with_the_batch_not_with_each_image() -> None:
    easy, labels = scores([0.9, 0.8, 0.7])
    hard, _ = scores([0.4, 0.3, 0.2])
    logits, both = torch.cat([easy, hard]), torch.cat([labels, labels])
    losses = F.cross_entropy(logits, both, reduction="none")
    no_threshold = OHEMConfig(threshold=None, min_kept=1)
    chosen = hard_pixels(logits.new_empty(0), both, losses, IGNORE, no_threshold)
    assert chosen[:, 0].sum(1).tolist() == [0, 2]


@pytest.mark.parametrize(
    "ohem", [None, OHEMConfig(min_kept=2), OHEMConfig(threshold=None, min_kept=2)]
)
@pytest.mark.parametrize("average", ["all", "labelled"])
def test_a_batch_without_labels_has_loss_and_gradient_zero(
    average: Average, ohem: OHEMConfig | None
) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    total = loss(logits, torch.full((2, 4, 4), IGNORE), average, ohem)
    total.backward()
    assert float(total.detach()) == 0.0
    assert logits.grad is not None and float(logits.grad.abs().sum()) == 0.0


def test_the_loss_is_computed_in_float32_under_autocast() -> None:
    logits = torch.randn(2, 3, 4, 4).bfloat16()
    labels = torch.randint(0, 3, (2, 8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = loss(logits, labels, "all")
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, loss(logits.float(), labels, "all"))


def test_ohem_applies_to_every_head_and_each_has_its_own_loss() -> None:
    part = {"head": {"name": "fcn", "channels": 4}}
    config = ModelConfig.model_validate(
        {
            "backbone": {"name": "resnet", "width": 4},
            "head": {"name": "fcn", "channels": 4},
            "auxiliary": {
                "early": {**part, "stage": 3, "weight": 0.5},
                "late": {**part, "stage": 4, "weight": 1.0},
            },
        }
    )
    labels = torch.randint(0, 3, (2, 8, 8))
    main, early, late = (torch.randn(2, 3, 4, 4) for _ in range(3))
    ohem = OHEMConfig(threshold=None, min_kept=5)
    losses = segmentation_losses(
        Segmentor(config, 3),
        Logits(main, {"early": early, "late": late}),
        labels,
        IGNORE,
        "all",
        ohem,
    )
    expected = [loss(logits, labels, "all", ohem) for logits in (main, early, late)]
    assert torch.equal(losses.main, expected[0])
    assert torch.equal(losses.auxiliary_heads["early"], 0.5 * expected[1])
    assert torch.equal(losses.auxiliary_heads["late"], expected[2])
    assert losses.auxiliary is not None
    torch.testing.assert_close(losses.auxiliary, 0.5 * expected[1] + expected[2])
    torch.testing.assert_close(losses.total, losses.main + losses.auxiliary)
