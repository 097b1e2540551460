"""See the package's docstring."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.terminal import heed_signals
from tests.workflow.chaos.choices import choices, template
from tests.workflow.chaos.rounds import Told, play, undisturbed

ABOUT = "Random signals to random processes of random workflows; nothing may be lost or differ."


def main() -> int:
    arguments = parser().parse_args()
    heed_signals()
    seed, began = arguments.seed, time.monotonic()
    numbers = arguments.only or list(range(1, arguments.rounds + 1))
    several = choices(seed, arguments.workflows or max(1, arguments.rounds // 6))
    chosen = {n: random.Random(f"{seed}/{n}/choice").choice(several) for n in numbers}
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"seed {seed}, {len(numbers)} rounds, {len(several)} workflows, in {folder}", flush=True)
    base = template(folder / "template", several)
    with ThreadPoolExecutor(arguments.side_by_side) as pool:
        used = sorted({*chosen.values()}, key=str)
        made = pool.map(lambda choice: undisturbed(base, choice, folder / str(choice)), used)
        references = dict(zip(used, made, strict=True))
        print(f"references after {time.monotonic() - began:.0f} s", flush=True)

        def one(number: int) -> Told:
            choice = chosen[number]
            told = play(number, seed, choice, references[choice], folder / f"round{number}")
            print(told, flush=True)
            return told

        rounds = list(pool.map(one, numbers))
    print(summary(rounds, time.monotonic() - began))
    wrong = [told for told in rounds if told.lost or told.differing]
    if wrong:
        again = " ".join(str(told.number) for told in wrong)
        print(f"again: make chaos ARGS='--workflows {len(several)} --seed {seed} --only {again}'")
    else:
        shutil.rmtree(folder)
    return 1 if wrong else 0


def summary(rounds: list[Told], seconds: float) -> str:
    hits = [hit for told in rounds for hit in told.hits]
    lost = sum(len(told.lost) for told in rounds)
    other = sum(len(told.differing) for told in rounds)
    return "\n".join(
        [
            f"{len(rounds)} rounds ({sum(not told.hits for told in rounds)} never hit), "
            f"{sum(told.commands for told in rounds)} commands, {len(hits)} signals, {lost} lost, "
            f"{other} differing, {seconds:.0f} s",
            f"signals: {_counted(hit.number.name for hit in hits)}; "
            f"{sum(hit.group for hit in hits)} of them to a group",
            f"to: {_counted(hit.kind for hit in hits)}",
            f"records completed afterwards: {sum(told.completed for told in rounds)}",
            f"left in TMPDIR: {_counted(name for told in rounds for name in told.left)}",
        ]
    )


def _counted(names: object) -> str:
    counts = Counter(names)  # type: ignore[call-overload]
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m tests.workflow.chaos", description=ABOUT)
    root.add_argument("--rounds", type=int, default=30, help="workflows that are hit")
    root.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="printed; the same rounds again"
    )
    root.add_argument("--only", type=int, nargs="+", metavar="ROUND", help="only these rounds")
    root.add_argument("--workflows", type=int, help="different ones (default: rounds / 6)")
    root.add_argument("--side-by-side", type=int, default=2, help="rounds at a time")
    return root


if __name__ == "__main__":
    sys.exit(main())
