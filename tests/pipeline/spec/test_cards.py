"""GPUs by their model: names as sites and PyTorch give them, memory, who decides."""

from __future__ import annotations

import pytest

from dmnet.errors import DMNetError
from dmnet.flops import training_cost
from pipeline.cluster import card_plan
from pipeline.cluster.card_plan import find_card, memory_warnings
from pipeline.cluster.estimates import Estimates
from pipeline.cluster.profile import Partition, SiteProfile
from pipeline.errors import SpecError
from pipeline.experiments import PARAMS, build_experiment
from pipeline.spec.cards import Cards
from pipeline.spec.params import Params

COSTS = Params(PARAMS).costs()
CARDS = Cards(COSTS)


@pytest.mark.parametrize(
    ("text", "name", "memory"),
    [
        ("v100", "v100", 16),
        ("tesla_v100-sxm2-32gb", "v100", 32),
        ("nvidia_a100_80gb_pcie", "a100", 80),
        ("NVIDIA A100-SXM4-40GB", "a100", 40),
        ("NVIDIA H100 80GB HBM3", "h100", 80),
        ("NVIDIA GeForce RTX 3090", "rtx3090", 24),
        ("rtx_3090", "rtx3090", 24),
        ("Tesla T4", "t4", 15),
        ("NVIDIA L40S", "l40s", 45),
        ("NVIDIA A40", "a40", 45),
        ("NVIDIA RTX A4000", None, None),
        ("NVIDIA GH200 480GB", None, None),
        ("NVIDIA L4", None, None),
    ],
)
def test_a_card_is_known_by_the_model_in_its_name(text, name, memory):
    card = CARDS.named(text)
    assert (card and card.name, card and card.memory_gib) == (name, memory)


def test_every_card_says_where_its_speed_is_from_and_what_it_runs():
    for card in CARDS.all:
        assert card.spec.source.startswith(("estimate: ", "measured: ")), card.name
        assert (card.fault("13.0") is None) == (float(card.spec.capability) >= 7.5)
        assert card.fault("12.6") is None


def test_who_decides_on_the_card(monkeypatch):
    slurm = {"gpu": Partition("gpu", None, True, True, frozenset(["h100", "tesla_v100"]))}
    profile = SiteProfile({"set-resources": {"train": {"gpu_model": "nvidia_a100_80gb"}}})
    monkeypatch.setattr(card_plan, "gpus_of_this_machine", lambda: frozenset(["NVIDIA L40S"]))
    assert find_card(CARDS, "h100", profile, slurm).card.name == "h100"
    assert find_card(CARDS, None, profile, slurm).card.memory_gib == 80
    anywhere = SiteProfile({})
    assert find_card(CARDS, None, anywhere, slurm).card.name == "v100"  # where it may land
    assert find_card(CARDS, None, None, None).card.name == "l40s"
    unknown = find_card(CARDS, None, anywhere, None)
    assert (unknown.card.name, unknown.said, unknown.unlisted) == ("v100", None, None)
    monkeypatch.setattr(card_plan, "gpus_of_this_machine", lambda: frozenset(["NVIDIA X1"]))
    assert find_card(CARDS, None, None, None).unlisted == "NVIDIA X1"
    with pytest.raises(DMNetError, match="card 'x1': .*it has v100, "):
        find_card(CARDS, "x1", None, None)


def warnings(card, **execution):
    """Of Table 9 at `paper`: ResNet-101 with deep supervision, 16 crops of 576x576, 150 classes."""
    experiment = build_experiment("paper", tables=["table9"])
    changed = experiment.preset.execution.model_copy(update=execution)
    experiment.preset = experiment.preset.model_copy(update={"execution": changed})
    counted = {
        key: training_cost(run.job.run.model, 150, *run.job.run.recipe.crop_size)
        for key, run in experiment.runs.items()
    }
    return memory_warnings(experiment, counted, CARDS.require(card))


def test_a_training_that_does_not_fit_gets_a_division_that_changes_no_result():
    assert warnings("h100") == []
    (told,) = warnings("a100")
    assert "1 run(s) take up to " in told and " GiB (table9/dmnet" in told
    assert "A100 has 40" in told
    # Accumulating would normalise each part by itself: other weights.
    assert "`execution: {processes: 2}` in the preset (2 GPUs for each) fits" in told
    assert "processes: 4}" in warnings("v100")[0]
    assert warnings("a100", processes=2) == []


def test_a_wrong_card_is_named():
    usual = COSTS.model_copy(update={"gpu": "v10"})
    with pytest.raises(SpecError, match=r"card 'v10': not in params/costs.yaml, `cards` \(it has "):
        Estimates.read(usual, on_gpu=True)
