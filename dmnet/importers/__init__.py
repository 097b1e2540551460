"""Checkpoints of other toolboxes: one two-way name table each, and nothing else is known of them.

A name table turns a foreign state dict into ours and back. A key without a partner, or a tensor of
another shape, is an error that names it; nothing is skipped silently.

    zoo = ZOOS["mmsegmentation"]
    state = zoo.to_ours(zoo.unwrap(checkpoint), model)       # -> model.load_state_dict(state)
    checkpoint = zoo.wrap(zoo.to_theirs(model.state_dict(), model), classes, iterations)
"""

from dmnet.importers import mmseg, ssseg
from dmnet.importers.zoo import Zoo

ZOOS: dict[str, Zoo] = {zoo.name: zoo for zoo in (mmseg.ZOO, ssseg.ZOO)}

__all__ = ["ZOOS", "Zoo"]
