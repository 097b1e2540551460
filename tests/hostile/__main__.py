"""Mutated files given to everything that reads such files.

    python -m tests.hostile [--seconds S | --calls N] [--seed N] [--reader NAME] [--keep FOLDER]
    python -m tests.hostile --again FOLDER    the kept case of an earlier run

Each call may end in a value or in the project's own one-line error. Anything else is a fault, is
printed, and its input is kept: another exception, a number that is none, no end, a change outside
of what the call may change, an error that is not one line or names no file of the study.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

from dmnet.files import write_json
from tests.hostile.doors import function_of, unknown
from tests.hostile.fitting import make_fit
from tests.hostile.mutate import mutate, remove
from tests.hostile.readers import READERS, Ended, Reader, quiet
from tests.hostile.study import REPOSITORY, make_study, outside
from tests.hostile.watch import NO_NUMBER, Outcome, Watch, snapshot, wrong_number, wrong_text

SEED = 18
KEEP = REPOSITORY / ".hostile"
LEARNING = 600.0  # seconds for a call whose every function is looked at
FITTING = 0.6  # of the mutated files get the hashes that name them made to fit


@dataclass
class Case:
    """A mutated study: what was changed, in words, and where."""

    reader: Reader
    path: str
    how: str
    seed: str


@dataclass
class Fuzzer:
    """A study in `root`, a copy of it in `whole`, and what each reader reads of it."""

    base: Path
    keep: Path
    among: str | None = None
    reads: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)  # functions that the readers call

    def __post_init__(self) -> None:
        self.root, self.whole = self.base / "study", self.base / "whole"
        self.spare, self.beside = self.base / "spare", outside(self.base / "study")
        for folder in (self.root, self.spare):
            folder.mkdir()
        # Libraries' own caches are not the reader's doing.
        caches = self.base / "caches"
        caches.mkdir()
        home = {"HOME": str(self.beside / "home"), "TMPDIR": str(self.spare)}
        os.environ |= home | dict.fromkeys(("MPLCONFIGDIR", "XDG_CACHE_HOME"), str(caches))
        tempfile.tempdir = None
        self.watch = Watch(self.root, self.spare, caches)

    def prepare(self) -> None:
        make_study(self.root)
        (self.root / "precious").write_text("precious\n")
        shutil.copytree(self.root, self.whole, symlinks=True)
        (self.keep / "now").mkdir(parents=True, exist_ok=True)
        self.before = snapshot(self.root)
        self.untouched = snapshot(self.beside)
        self.names = (
            {"--config"} | {path.name for path in self.before} | {path.stem for path in self.before}
        )

    def learn(self, reader: Reader) -> None:
        """Call it with nothing wrong: it must succeed, and what it opens are its files."""

        def called(frame: FrameType, event: str, argument: object) -> None:
            codes.add(frame.f_code)

        codes: set[CodeType] = set()
        sys.settrace(called)  # of calls only, as it returns no tracer of lines
        outcome = self.watch.call(reader.call, LEARNING)
        sys.settrace(None)
        names = (function_of(code.co_filename, code.co_qualname) for code in codes)
        self.passed |= {name for name in names if name}
        opened = {p for p in self.watch.opened if p in self.before and p.is_file()}
        for pattern in reader.also:
            opened |= {path for path in self.root.glob(pattern) if path.is_file()}
        self.judge(reader, outcome, None)
        status = outcome.value.status if isinstance(outcome.value, Ended) else 0
        if outcome.faults or outcome.error or status:
            said = outcome.value.errors + outcome.value.printed if status else outcome.error
            raise SystemExit(f"{reader.name}, nothing being wrong: {outcome.faults} {said}")
        self.reads[reader.name] = sorted(str(p.relative_to(self.root)) for p in opened)
        self.restore()

    def restore(self) -> None:
        """Whatever differs from the untouched study, as it was."""
        now = snapshot(self.root)
        for path in sorted(now.keys() - self.before.keys()):
            remove(path)
        for path, state in self.before.items():
            if now.get(path) == state:
                continue
            remove(path)
            kept = self.whole / path.relative_to(self.root)
            if kept.is_dir() and not kept.is_symlink():
                path.mkdir(exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(kept, path)
        for path in self.spare.iterdir():
            remove(path)

    def judge(self, reader: Reader, outcome: Outcome, changed: str | None) -> None:
        """Add what else was wrong."""
        value, faults = outcome.value, outcome.faults
        error = outcome.error
        if isinstance(value, Ended):
            if value.status not in (0, 1, 2):
                faults.append(f"exit status {value.status}")
            if "Traceback" in value.errors + value.printed:
                faults.append(f"a traceback: {(value.errors + value.printed)[-300:]!r}")
            if found := NO_NUMBER.search(value.printed):
                faults.append(
                    f"{found[0]!r} shown: ...{value.printed[found.start() - 60 :][:120]!r}"
                )
            said = value.errors.removesuffix("\n")
            if value.status == 1 and not said.startswith("error: "):
                faults.append(f"status 1 with {said[:200]!r}")
            elif value.status == 0 and said:
                faults.append(f"status 0 with {said[:200]!r}")
            elif value.status:
                error = said
        elif wrong_number(value):
            faults.append(f"a number that is none: {str(value)[:200]}")
        if error is not None:
            self.counts["refused"] += 1
            if wrong := wrong_text(error, isinstance(value, Ended)):
                faults.append(wrong)
            elif changed and not any(name in error for name in (*self.names, Path(changed).name)):
                faults.append(f"names no file: {error[:300]!r}")
        if snapshot(self.beside) != self.untouched:
            faults.append(f"changed beside the study: {self.beside}")

    def changed(self, reader: Reader, before: dict[Path, tuple[int, int, int]]) -> list[str]:
        """What the call changed in the study and may not."""
        now = snapshot(self.root)
        paths = [p for p in {*now, *before} if now.get(p) != before.get(p)]
        found = sorted(str(path.relative_to(self.root)) for path in paths)
        allowed = (*reader.writes, "runs/.locks", "weights/.locks")
        return [
            path for path in found if not path.startswith(allowed) and f"{path}/" not in allowed
        ]

    def try_one(self, seed: str, only: list[Reader]) -> None:
        draw = random.Random(seed)
        reader = draw.choices(only, [one.weight for one in only])[0]
        # Parameters are read by nearly all: other files come first.
        by_top: dict[str, list[str]] = {}
        for path in self.reads[reader.name]:
            by_top.setdefault(path.split("/")[0] if draw.random() < 0.7 else path, []).append(path)
        path = draw.choice(by_top[draw.choice(sorted(by_top))])
        how = mutate(self.root / path, draw)
        if how in ("bytes", "text", "structure", "archive") and draw.random() < FITTING:
            make_fit(self.root, path)
        self.run(Case(reader, path, how, seed))
        self.restore()

    def run(self, case: Case) -> None:
        now = {"reader": case.reader.name, "path": case.path, "how": case.how, "seed": case.seed}
        # For a call that ends this process: then --again takes this folder.
        (self.keep / "now" / "case.json").write_text(json.dumps(now | {"among": self.among}))
        before = snapshot(self.root)
        with chdir(self.root):
            outcome = self.watch.call(case.reader.call)
        self.counts["calls"] += 1
        self.judge(case.reader, outcome, case.path)
        if changed := self.changed(case.reader, before):
            outcome.faults.append(f"changed {', '.join(changed[:5])}")
        for fault in outcome.faults:
            self.report(case, fault)

    def report(self, case: Case, fault: str) -> None:
        where = self.keep / f"{len(self.faults):03d}"
        self.faults.append(fault)
        remove(where)
        where.mkdir(parents=True)
        lying = self.root / case.path
        if lying.is_file() and not lying.is_symlink() and lying.stat().st_size < 2**28:
            shutil.copy2(lying, where / lying.name)
        told = {"reader": case.reader.name, "path": case.path, "how": case.how, "fault": fault}
        write_json(where / "case.json", told | {"seed": case.seed, "among": self.among})
        print(f"{where}: {case.reader.name}, {case.path} ({case.how}): {fault}", flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--seconds", type=float, help="stop after so many; else after --calls")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--reader", help="only those whose name has this in it")
    parser.add_argument("--keep", type=Path, default=KEEP, help=f"failing inputs; default {KEEP}")
    parser.add_argument("--again", type=Path, help="a folder that a fault was kept in")
    arguments = parser.parse_args(argv)
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    quiet()
    begun = time.monotonic()
    keep = arguments.keep.resolve()
    again = json.loads((arguments.again / "case.json").read_text()) if arguments.again else None
    among = again["among"] if again else arguments.reader  # the seed chooses one of them
    only = [one for one in READERS if among is None or among in one.name]
    needed = [one for one in only if again is None or one.name == again["reader"]]
    with tempfile.TemporaryDirectory(prefix="hostile-") as base:
        fuzzer = Fuzzer(Path(base).resolve(), keep if not again else Path(base) / "kept", among)
        fuzzer.prepare()
        with chdir(fuzzer.root):
            for reader in needed:
                fuzzer.learn(reader)
        for door in unknown(fuzzer.passed) if needed == READERS else ():
            fuzzer.faults.append(door)
            print(f"{door}: reads files, and no call of tests/hostile/readers.py leads there")
        prepared = time.monotonic() - begun
        if again:
            fuzzer.try_one(again["seed"], only)
        number = 0
        while not again and (
            number < arguments.calls
            if arguments.seconds is None
            else time.monotonic() - begun < arguments.seconds
        ):
            fuzzer.try_one(f"{arguments.seed}-{number}", only)
            number += 1
    print(
        f"{fuzzer.counts['calls']} calls, {fuzzer.counts['refused']} refused in one line, "
        f"{len(fuzzer.faults)} faults; {time.monotonic() - begun:.0f} s "
        f"({prepared:.0f} s to prepare, {time.process_time():.0f} s of a processor)"
    )
    return 1 if fuzzer.faults else 0


if __name__ == "__main__":
    sys.exit(main())
