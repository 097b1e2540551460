"""A round: a workflow is disturbed, then the same command is given until it is done."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.workflow.chaos.choices import Choice
from tests.workflow.chaos.disturbance import MARK, Hit, disturb, end_all, wait_for_end
from tests.workflow.chaos.progress import done, done_again, not_saved, running
from tests.workflow.chaos.results import differing, left_behind, left_in_tmpdir, not_recorded
from tests.workflow.conftest import Clone

PATIENCE = 180.0  # seconds for a command, and for what a killed one left running
COMMANDS = 3  # of a round at most that are disturbed
AGAIN = 0.35  # the chance that the next one is, too, and that a second signal follows soon
TRIES = 4  # to hit a workflow before it is done


class Marked(Clone):
    """A clone whose processes are known by a mark, and that has a folder for temporary files."""

    mark = ""

    def environment(self, **extra: str) -> dict[str, str]:
        temporary = self.path.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        own = {MARK: self.mark or str(self.path), "TMPDIR": str(temporary)}
        return super().environment(**own, **extra)


@dataclass
class Told:
    """What came of a round."""

    number: int
    choice: Choice
    cores: int
    record: bool
    hits: list[Hit] = field(default_factory=list)
    commands: int = 0
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    completed: bool = False  # its record, by `python -m pipeline record`
    left: list[str] = field(default_factory=list)  # in TMPDIR
    folder: Path | None = None

    def __str__(self) -> str:
        hits = "; ".join(map(str, self.hits))
        with_records = ", recorded" if self.record else ""
        verdict = "as undisturbed" if not self.lost and not self.differing else "WRONG"
        lines = [
            f"round {self.number}: {self.choice}, {self.cores} cores{with_records}: {hits}: "
            f"{verdict} after {self.commands} commands"
            + (", its record completed" if self.completed else ""),
            *(f"    lost: {line}" for line in self.lost),
            *(f"    differs: {line}" for line in self.differing),
            *([f"    kept in {self.folder}"] if self.lost or self.differing else []),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Reference:
    """A workflow that was left alone, and the seconds that it took without and with its record."""

    clone: Clone
    seconds: dict[bool, float]


def undisturbed(template: Clone, choice: Choice, folder: Path) -> Reference:
    clone = Marked(template.copy(folder / "clone").path)
    began, clock = time.time(), time.monotonic()
    result = clone.snakemake(choice.target, preset=choice.preset)
    whole = time.monotonic() - clock
    assert result.code == 0, result.text
    wrong = left_behind(clone) + left_in_tmpdir(clone)
    assert not wrong, wrong
    jobs = (clone.path / choice.target).stat().st_mtime - began
    return Reference(clone, {False: jobs, True: whole})


def play(number: int, seed: int, choice: Choice, reference: Reference, folder: Path) -> Told:
    """One round. All of it but the moment of a signal follows from seed and number."""
    draw = random.Random(f"{seed}/{number}")
    told = Told(number, choice, draw.choice((1, 2)), draw.random() < 0.4, folder=folder)
    latest = reference.seconds[told.record]
    for _ in range(TRIES):  # until something lived at the chosen moment
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        told.commands, told.lost, told.differing = 0, [], []
        clone = _begin(reference, folder, draw)
        clone.record = told.record
        try:
            _until_done(clone, told, latest, draw)
            if not told.lost:
                _judge(clone, told, reference)
        finally:
            end_all(clone.mark)
        if told.hits or told.lost or told.differing:
            break
        latest /= 2
    if not told.lost and not told.differing:
        shutil.rmtree(folder)
    return told


def _begin(reference: Reference, folder: Path, draw: random.Random) -> Marked:
    """The reference's clone, nothing made in it; in half of the rounds its dataset is there."""
    clone = Marked(reference.clone.copy(folder / "clone").path)
    clone.mark = str(clone.path)
    clone.forget_runs()
    clone.forget("mlartifacts", "logs", "benchmarks", ".dvc/cache", ".dvc/tmp")
    clone.git("checkout", "-q", "--", ".")
    for path in clone.path.glob("mlflow.db*"):
        path.unlink()
    if draw.random() < 0.5:
        clone.forget("data", ".snakemake")
    return clone


def _until_done(clone: Marked, told: Told, latest: float, draw: random.Random) -> None:
    """Give the command; disturb it; give it again, until nothing disturbs it."""
    disturbed = 1
    while disturbed < COMMANDS and draw.random() < AGAIN:
        disturbed += 1
    before = done(clone)
    while True:
        told.commands += 1
        began = time.monotonic()
        snakemake = clone.start(
            told.choice.target, "--cores", str(told.cores), preset=told.choice.preset
        )
        hits: list[Hit] = []
        if told.commands <= disturbed:
            hits = _disturbed(clone, told, snakemake, began + draw.random() * latest, began, draw)
        if not _ended(clone, told, snakemake):
            return
        told.lost += done_again(clone, before)
        if not hits:
            if snakemake.returncode != 0:
                told.lost.append(
                    f"command {told.commands} was left alone and failed with "
                    f"{snakemake.returncode}: {clone.output_file}"
                )
            elif left := wait_for_end(clone.mark, 10):
                told.lost += [f"still at work: {line}" for line in left]
            if told.commands > disturbed or snakemake.returncode != 0:
                return
        elif draw.random() < 0.5 and (left := wait_for_end(clone.mark, PATIENCE)):
            told.lost += [f"outlives a killed command: {line}" for line in left]
            return
        before = done(clone)


def _disturbed(
    clone: Marked,
    told: Told,
    snakemake: subprocess.Popen[str],
    moment: float,
    began: float,
    draw: random.Random,
) -> list[Hit]:
    """Send a signal at this moment, and perhaps a second one soon after."""
    hits: list[Hit] = []
    progress = running(clone)
    for count in range(2):
        while time.monotonic() < moment and snakemake.poll() is None:
            time.sleep(0.01)
        if snakemake.poll() is not None:
            break
        if count == 0:
            progress = running(clone)
        if hit := disturb(clone.mark, draw, began):
            hits.append(hit)
        if draw.random() > AGAIN:
            break
        moment = time.monotonic() + draw.random()
    told.hits += hits
    if hits:
        asked = {pid for hit in hits for pid in hit.asked}
        if not wait_for_end(clone.mark, PATIENCE, frozenset(asked & _pids(progress))):
            told.lost += not_saved(clone, progress, hits, asked)
    return hits


def _pids(progress: dict[str, dict[str, object]]) -> set[int]:
    return {int(str(entry["pid"])) for entry in progress.values()}


def _ended(clone: Marked, told: Told, snakemake: subprocess.Popen[str]) -> bool:
    try:
        snakemake.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        told.lost.append(f"command {told.commands} hangs: {wait_for_end(clone.mark, 0)}")
        return False
    return True


def _judge(clone: Marked, told: Told, reference: Reference) -> None:
    if told.record:
        last = clone.output().rsplit("SNAKEMAKE\n", 1)[1]
        if "`python -m pipeline record" in last:
            # The record was cut off, and nothing was left to do for the same command, as it said.
            told.completed = True
            result = clone.pipeline("record", preset=told.choice.preset)
            if result.code != 0:
                told.lost.append(f"record: {result.text.strip()[-300:]}")
        told.lost += not_recorded(clone, reference.clone)
    told.differing += differing(clone, reference.clone)
    told.lost += left_behind(clone)
    verified = clone.python("-m", "pipeline", "verify")
    if verified.code != 0:
        told.lost.append(f"verify: {verified.text.strip()[-500:]}")
    told.left += left_in_tmpdir(clone)
