"""Which small workflow a round runs.

All follows from the seed. The number of choices is bounded, as each is made undisturbed once, for
all rounds that chose it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from tests.workflow.conftest import MORE_ROWS, PRESET, TABLE, Clone, make_template

ITERATIONS = 40
LOG_EVERY = 2
CONTINUED = """\
  - {Kind: Fine-tuned, Value: {cell: tuned, model: dmnet, recipe: finetune-voc, continues: ours}}
"""
TWO = TABLE + MORE_ROWS.splitlines(keepends=True)[-1]
TABLES = {"one": TABLE, "two": TWO, "continued": TABLE + CONTINUED}


@dataclass(frozen=True)
class Choice:
    """A workflow: what may change a byte of its results, and what may not."""

    table: str
    processes: int
    workers: int
    checkpoint_every: int
    validate_every: int

    @property
    def preset(self) -> str:
        return f"p{self.processes}-w{self.workers}-c{self.checkpoint_every}-v{self.validate_every}"

    @property
    def target(self) -> str:
        return f"reports/{self.table}.md"

    def __str__(self) -> str:
        return f"{self.table}-{self.preset}"


def choices(seed: int, count: int) -> list[Choice]:
    """`count` workflows, of which any two differ."""
    draw = random.Random(f"{seed}/choices")
    found: list[Choice] = []
    while len(found) < count:
        processes = draw.choice((1, 1, 1, 2))
        choice = Choice(  # several processes take as long as several runs
            table="one" if processes > 1 else draw.choice(("one", "two", "continued")),
            processes=processes,
            workers=draw.choice((0, 2)),
            checkpoint_every=draw.choice((3, 8, 1000)),
            validate_every=draw.choice((7, ITERATIONS)),  # on the way, or at the end only
        )
        if choice not in found:
            found.append(choice)
    return found


def template(path: Path, chosen: list[Choice]) -> Clone:
    """A clone with the tables and presets of all of them, committed; nothing made in it yet."""
    clone = make_template(path)
    for name, table in TABLES.items():
        clone.write(f"params/tables/{name}.yaml", table)
    for choice in chosen:
        text = PRESET.format(
            iterations=ITERATIONS,
            checkpoint=choice.checkpoint_every,
            validate=choice.validate_every,
            log=LOG_EVERY,
        )
        execution = f"workers: {choice.workers}, processes: {choice.processes}"
        clone.write(f"params/presets/{choice.preset}.yaml", text.replace("workers: 0", execution))
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "chaos")
    return clone
