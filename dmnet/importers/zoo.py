"""A model zoo, as far as its checkpoints go: what it calls our parameters, how it wraps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dmnet.config import ModelConfig
from dmnet.errors import CheckpointError
from dmnet.importers.names import Table, rename, translate
from dmnet.segmentor import Segmentor


@dataclass(frozen=True)
class Zoo:
    """Everything that `dmnet` knows of another toolbox.

    `to_ours` and `to_theirs` take and give bare state dicts; `unwrap` and `wrap` are about the
    content of checkpoint files.
    """

    name: str
    table: Callable[[ModelConfig], Table]  # raises CheckpointError for a model it does not have
    key: str  # under which a checkpoint file holds the state dict
    rest: Callable[[Sequence[str], int], dict[str, Any]]  # (classes, iterations) -> what is beside

    def names(self, model: Segmentor) -> dict[str, str]:
        """Our name -> theirs, for every tensor of the model, in the model's order.

        Raises CheckpointError when the zoo has no name for a part of the model.
        """
        return translate(model.state_dict(), self.table(model.config), self.name)

    def to_ours(self, state: Mapping[str, Tensor], model: Segmentor) -> dict[str, Tensor]:
        """Their state dict under our names; raises CheckpointError if it does not fit."""
        names, tensors = self.names(model), model.state_dict()
        new_names = {theirs: ours for ours, theirs in names.items()}
        return rename(state, new_names, {theirs: tensors[ours] for ours, theirs in names.items()})

    def to_theirs(self, state: Mapping[str, Tensor], model: Segmentor) -> dict[str, Tensor]:
        """Our state dict under their names; raises CheckpointError if it does not fit."""
        return rename(state, self.names(model), model.state_dict())

    def unwrap(self, checkpoint: Any) -> dict[str, Tensor]:
        """The state dict in a checkpoint file's content. Raises CheckpointError."""
        if not isinstance(checkpoint, Mapping) or self.key not in checkpoint:
            raise CheckpointError(
                f"checkpoint: expected the key `{self.key}` of a {self.name} checkpoint, "
                f"found {_described(checkpoint)}"
            )
        state = checkpoint[self.key]
        if not isinstance(state, Mapping):
            raise CheckpointError(
                f"checkpoint: expected a state dict under `{self.key}`, found {_described(state)}"
            )
        return dict(state)

    def wrap(
        self, state: Mapping[str, Tensor], classes: Sequence[str], iterations: int
    ) -> dict[str, Any]:
        """The content of a checkpoint file that the zoo's own tools load."""
        return {self.key: dict(state), **self.rest(classes, iterations)}


def _described(checkpoint: Any) -> str:
    if not isinstance(checkpoint, Mapping):
        return type(checkpoint).__name__
    keys = [str(key) for key in checkpoint]
    return ", ".join(keys[:3]) + (" ..." if len(keys) > 3 else "") if keys else "nothing"
