"""The GPU that trainings will have: who says so, how long they take on it, whether they fit.

How they would fit is said only where no result changes by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmnet.training.share import Share, unchanged_divisions
from pipeline.cluster.profile import Partition, SiteProfile
from pipeline.escaping import few
from pipeline.experiments import Experiment, Run
from pipeline.spec.cards import Card, Cards

if TYPE_CHECKING:
    from dmnet.flops import ModelCost

SHOWN = 3  # names in a warning


@dataclass(frozen=True)
class KnownCard:
    """card: what is reckoned with; said: by whom, or None; unlisted: what it stands in for."""

    card: Card
    said: str | None = None
    unlisted: str | None = None
    others: tuple[str, ...] = ()


def find_card(
    cards: Cards,
    asked: str | None,
    profile: SiteProfile | None,
    partitions: dict[str, Partition] | None,
) -> KnownCard:
    """As the command says, or the cluster's profile, its partition, this machine; else what
    `params/costs.yaml` reckons with. Raises SpecError for a command's unknown card."""
    if asked is not None:
        return KnownCard(cards.require(asked), "--card")
    if profile is not None:
        models, said = models_of("train", profile, partitions), "the profile"
    else:
        models, said = gpus_of_this_machine(), "this machine"
    default = cards.usual
    known = [card for model in sorted(models) if (card := cards.named(model)) is not None]
    if known:  # of several, where the job may land: the worst
        return KnownCard(min(known, key=lambda card: card.memory_gib), said)
    others = tuple(card.name for card in cards.all)
    return KnownCard(default, None, next(iter(sorted(models)), None), others)


def gpus_of_this_machine() -> frozenset[str]:
    import torch

    return frozenset([torch.cuda.get_device_name(0)] if torch.cuda.is_available() else [])


def models_of(
    rule: str, profile: SiteProfile, partitions: dict[str, Partition] | None
) -> frozenset[str]:
    """The GPU models that a rule's jobs may get, by the site's names; empty where unknown."""
    if (named := profile.resource(rule, "gpu_model")) is not None:
        return frozenset([str(named)])
    partition = (partitions or {}).get(str(profile.partition(rule, partitions)))
    return partition.models if partition else frozenset()


def card_warnings(
    rules: Iterable[str],
    profile: SiteProfile,
    partitions: dict[str, Partition] | None,
    cards: Cards,
) -> list[str]:
    """GPUs that the jobs may get and PyTorch has no code for, each once."""
    faults: dict[str, list[str]] = {}
    for rule in rules:
        for model in sorted(models_of(rule, profile, partitions)):
            card = cards.named(model)
            if card is not None and (fault := card.fault()):
                faults.setdefault(fault, []).append(rule)
    return [
        f"{', '.join(names)}: {fault}; set `gpu_model` under set-resources to choose"
        for fault, names in faults.items()
    ]


def render_card(
    experiment: Experiment,
    costs: Mapping[str, ModelCost],
    known: KnownCard,
    seconds: float,
    warn_of_card: bool,
) -> list[str]:
    """Lines of a plan. costs, seconds: of what is still to be trained; warn_of_card: whether
    nothing else tells that PyTorch has no code for it."""
    card, warnings = known.card, []
    lines = [f"That is {seconds / 86400:,.1f} days of one {card.spec.title} ({card.spec.source})"]
    if known.unlisted is not None:
        warnings.append(
            f"{known.unlisted!r} is not in params/costs.yaml, `cards`: {card.spec.title} stands in"
        )
    elif known.said is None:
        lines.append(f"On your own card: --card NAME, of {', '.join(known.others)}")
    else:
        if warn_of_card and (fault := card.fault()):
            warnings.append(fault)
        warnings += memory_warnings(experiment, costs, card)
    return [*lines, *(f"warning: {warning}" for warning in warnings)]


def gpu_gib(run: Run, cost: ModelCost, share: Share) -> float:
    """Of one GPU, in a training step whose batch is divided so. cost: of the run's model."""
    from dmnet.footprint import GIB, footprint_of  # imports torch

    config, recipe = run.job.run, run.job.run.recipe
    images = recipe.batch_size // share.pieces
    return footprint_of(cost, config.model, config.data.classes, recipe, images).total / GIB


def preset_share(experiment: Experiment) -> Share:
    execution = experiment.preset.execution
    return Share(0, execution.processes, execution.accumulate)


def memory_warnings(
    experiment: Experiment, costs: Mapping[str, ModelCost], card: Card
) -> list[str]:
    """Trainings that the card has too little memory for, and a division of their batches with which
    it has enough. costs: run key -> cost."""
    now = preset_share(experiment)
    runs = [experiment.runs[key] for key in costs]
    sizes = {run.key: gpu_gib(run, costs[run.key], now) for run in runs}
    large = [run for run in runs if sizes[run.key] > card.memory_gib]
    if not large:
        return []
    most = max(large, key=lambda run: sizes[run.key])
    names = few([run.label for run in large], SHOWN)
    text = (
        f"GPU memory: {len(large)} run(s) take up to {sizes[most.key]:.0f} GiB ({most.label}), "
        f"{card.spec.title} has {card.memory_gib:.0f} ({names})"
    )
    first, *others = [unchanged_divisions(run.job.run.recipe, now) for run in runs]
    allowed = [share for share in first if all(share in other for other in others)]

    def fit(share: Share) -> bool:
        return all(gpu_gib(run, costs[run.key], share) <= card.memory_gib for run in runs)

    fits = next(filter(fit, allowed), None)  # the coarsest
    if fits is None:
        return [
            f"{text}; no division of the batches fits all and leaves all results as they are: take "
            "a card with more memory, or plan table by table"
        ]
    gpus = f" ({fits.processes} GPUs for each)" if fits.processes > 1 else ""
    return [f"{text}; {fits.in_words} in the preset{gpus} fits and leaves the results as they are"]
