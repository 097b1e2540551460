"""Our steps of what tests/reference/record_parts.py recorded, in one process or several (gloo)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from dmnet.config import RecipeConfig
from dmnet.importers import ZOOS
from dmnet.losses import Losses
from dmnet.processes import Processes
from dmnet.segmentor import Segmentor
from dmnet.training.share import Share
from dmnet.training.step import Stepper
from tests.dmnet.margins import margins_of_hard_pixels
from tests.dmnet.reference_models import our_model

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
IGNORE = 255


class Division(NamedTuple):
    """Of a recorded run's batches here."""

    run: str
    processes: int
    accumulate: int = 1


def recipe_of(run: dict[str, Any], zoo: str, division: Division) -> RecipeConfig:
    """The recorded processes are the recipe's parts."""
    parts = run["processes"]
    values: dict[str, Any] = {"lr": run["lr"], "min_lr": run["lr"], "weight_decay": 5e-4}
    values |= {"batch_size": 16, "crop_size": (64, 96), "iterations": 3, "conventions": zoo}
    if zoo == "mmsegmentation":
        values |= {"loss_average": "all", "backbone_bn_parts": parts}
    else:
        values |= {"loss_average": "labelled", "loss_parts": parts}
    if run["ohem"] is not None:
        sampler = run["ohem"]
        values["ohem"] = {"threshold": sampler["thresh"], "min_kept": sampler["min_kept"]}
        values["ohem"]["parts"] = parts
    if run["synchronised"] is None:  # the heads, too: parts one after the other, or processes
        values |= {"bn_parts": parts, "sync_bn": division.accumulate > 1}
    return RecipeConfig.model_validate(values)


def replay(division: Division, rank: int) -> dict[str, Any]:
    """The batches' losses by head; under the reference's names, the model afterwards; `margins` of
    the choices of hard pixels."""
    golden = torch.load(GOLDEN / "training_in_processes.pt", weights_only=True)
    run = golden["runs"][division.run]
    weights = torch.load(GOLDEN / f"{run['weights']}.pt", weights_only=True)
    config, classes, zoo = our_model(run)
    model = Segmentor(config, classes)
    checkpoint = ZOOS[zoo].unwrap(weights["checkpoint"])
    model.load_state_dict(ZOOS[zoo].to_ours(checkpoint, model))
    stepper = Stepper(
        model.double().train(),
        recipe_of(run, zoo, division),
        IGNORE,
        torch.device("cpu"),
        Processes(rank, division.processes),
        division.accumulate,
    )
    share = Share(rank, division.processes, division.accumulate)
    losses = []
    with margins_of_hard_pixels() as margins:
        for iteration, batch in enumerate(zip(golden["images"], golden["labels"], strict=True)):
            images, labels = (torch.stack(share.of(list(part))) for part in batch)
            images = images.double().repeat_interleave(4, -2).repeat_interleave(4, -1)
            found = by_head(stepper.step(images, labels, iteration)[0], zoo)
            sums = stepper.processes.sum(list(found.values()))
            losses.append(dict(zip(found, sums, strict=True)))
    stepper.settle()
    state = ZOOS[zoo].to_theirs(model.state_dict(), model)
    return {"losses": losses, "state": state, "margins": margins}


def by_head(losses: Losses, zoo: str) -> dict[str, float]:
    """Our losses under the reference's names."""
    auxiliary = [float(loss.detach()) for loss in losses.auxiliary_heads.values()]
    main, total = float(losses.main.detach()), float(losses.total.detach())
    if zoo == "sssegmentation":
        return {"loss_cls": main, "loss_aux": auxiliary[0], "loss_total": total}
    named = {f"aux_{number}.loss_ce": loss for number, loss in enumerate(auxiliary)}
    return {"decode.loss_ce": main, **named, "loss": total}


def replay_all(divisions: list[Division], folder: Path) -> dict[Division, list[dict[str, Any]]]:
    """Of divisions among equally many processes: what each of these found, by rank."""
    (processes,) = {division.processes for division in divisions}
    if processes == 1:
        return {division: [replay(division, 0)] for division in divisions}
    torch.multiprocessing.spawn(_process, (processes, divisions, folder), processes)
    found: list[list[dict[str, Any]]] = [
        torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(processes)
    ]
    return {division: [one[i] for one in found] for i, division in enumerate(divisions)}


def _process(rank: int, processes: int, divisions: list[Division], folder: Path) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    torch.save([replay(division, rank) for division in divisions], folder / f"{rank}.pt")
    dist.destroy_process_group()


def values_of(state: dict[str, Tensor], names: list[str]) -> tuple[Tensor, Tensor]:
    """Norms and evenly spaced values of tensors, as the recording has them."""
    tensors = [state[name].double().flatten() for name in names]
    places = [torch.linspace(0, len(t) - 1, min(16, len(t))).long() for t in tensors]
    values = torch.cat([t[where] for t, where in zip(tensors, places, strict=True)])
    return torch.stack([t.norm() for t in tensors]), values
