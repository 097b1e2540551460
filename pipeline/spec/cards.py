"""GPUs by their model, from `params/costs.yaml`: what a plan uses before a GPU is there.

Sites name their GPUs as they like (`v100`, `nvidia_a100_80gb_pcie`, `tesla_v100-sxm2-32gb`),
PyTorch as NVIDIA does ("NVIDIA H100 80GB HBM3"); a card is known by the model's name within.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dmnet.gpus import OLDER, PINNED, WHEELS, installed_cuda, runs_on
from pipeline.errors import SpecError
from pipeline.spec.costs import CardSpec, CostsFile

WHERE = "params/costs.yaml"


@dataclass(frozen=True)
class Card:
    name: str
    spec: CardSpec
    memory_gib: float

    def fault(self, cuda: str | None = None) -> str | None:
        """Why a job on it would fail, and what to do.

        cuda: what PyTorch is built with; None: this environment's.
        """
        cuda = cuda or installed_cuda() or PINNED  # without CUDA, what a cluster would install
        wheel = WHEELS.get(cuda)
        if wheel is None or runs_on(wheel.architectures, self.spec.capability):
            return None
        older = cuda != OLDER and runs_on(WHEELS[OLDER].architectures, self.spec.capability)
        remedy = "install requirements-cu126.lock, or take another" if older else "take another"
        return (
            f"{self.spec.title} has compute capability {self.spec.capability}, for which PyTorch "
            f"with CUDA {cuda} has no code; {remedy} (docs/gpu.md)"
        )


class Cards:
    """All that `params/costs.yaml` knows."""

    def __init__(self, costs: CostsFile) -> None:
        self.all = [Card(name, spec, spec.memory_gib) for name, spec in costs.cards.items()]
        self._usual = costs.gpu

    @property
    def usual(self) -> Card:
        """The card that a plan uses where none is known. Raises SpecError."""
        return self.require(self._usual)

    def named(self, text: str) -> Card | None:
        """The card that a name such as "NVIDIA A100-SXM4-80GB" means, with the memory in it."""
        plain = re.sub(r"[^a-z0-9]+", " ", text.lower())
        for card in self.all:
            model = r"\s?".join(re.findall(r"[a-z]+|\d+", card.name))
            if re.search(rf"(?<![a-z0-9]){model}(?!\d)", plain.replace("geforce", "")):
                memory = re.search(r"\b(\d+) ?g(?:i?b)?\b", plain)
                return replace(card, memory_gib=float(memory[1])) if memory else card
        return None

    def require(self, text: str) -> Card:
        """Raises SpecError for a card that is not listed."""
        if (card := self.named(text)) is None:
            known = ", ".join(card.name for card in self.all)
            raise SpecError(
                f"card {text!r}: not in {WHERE}, `cards` (it has {known}); add it there"
            )
        return card
