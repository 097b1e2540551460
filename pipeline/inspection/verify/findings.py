"""What a verification has checked, what does not fit, and what is missing here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmnet.errors import DMNetError
from dmnet.files import read_json, sha256_file
from dmnet.text import reason
from pipeline import paths
from pipeline.dvc.entries import printable
from pipeline.errors import ResultError
from pipeline.escaping import one_line
from pipeline.results.files import FileT, checked
from pipeline.results.schemas import Weights

SHOWN = 16  # characters of a hash
REPAIR = "`python -m pipeline verify --repair` brings the recorded copy back"


def bring(path: str) -> str:
    return f"`python -m pipeline check && dvc pull {path}` brings it"


@dataclass
class Findings:
    """Paths are given and told relative to `root`."""

    root: Path
    checked: Counter[str] = field(default_factory=Counter)  # kind of thing -> how many
    wrong: list[str] = field(default_factory=list)  # one line each
    noted: list[str] = field(default_factory=list)  # undamaged, but people should know of it
    absent: list[str] = field(default_factory=list)  # never made or not pulled: nothing is wrong

    def same(self, path: str, what: str, expected: object, found: object, todo: str) -> None:
        """It is a finding unless they are equal."""
        if expected != found:
            self.add(path, f"{what} {_short(expected)}", _short(found), todo)

    def add(self, path: str, expected: str, found: str, todo: str) -> None:
        line = printable(f"{path}: expected {expected}, found {found}; {todo}")
        if line not in self.wrong:
            self.wrong.append(line)

    def missing(self, path: str, todo: str) -> None:
        line = printable(f"{path}: not here; {todo}")
        if line not in self.absent:
            self.absent.append(line)

    def there(self, path: str) -> bool:
        """Whether there is such a file; False for a name that no file can have."""
        try:
            return (self.root / path).exists()
        except (OSError, ValueError):
            return False

    def json(self, path: str, todo: str, kind: type = dict) -> Any:
        """The file's JSON, an object or another `kind`; None, with a finding, if it is not."""
        try:
            content = read_json(self.root / path)
        except DMNetError as error:
            reason = str(error).removeprefix(f"{self.root / path}: ").partition("; ")[0]
            self.add(path, "JSON", reason, todo)
            return None
        if not isinstance(content, kind):
            self.add(path, f"JSON with a {kind.__name__}", type(content).__name__, todo)
            return None
        return content

    def result(self, path: str, todo: str, schema: type[FileT]) -> FileT | None:
        """The file by its schema; None, with a finding, if it does not fit."""
        content = self.json(path, todo)
        try:
            return None if content is None else checked(content, schema)
        except ResultError as error:
            self.add(path, "content as it is written here", str(error), todo)
            return None

    def weights_of(self, manifest: str) -> str | None:
        """The SHA-256 of the weights that this train.json names."""
        todo = self.todo(manifest, f"delete {manifest} and run again")
        trained = self.result(manifest, todo, Weights)
        return None if trained is None else trained.weights.sha256

    def hashed(self, path: str, sha256: str | None, kind: str, todo: str) -> bool:
        """Whether the file is there; then it is compared with its SHA-256."""
        if not self.there(path):
            return False
        self.checked[kind] += 1
        try:
            self.same(path, "SHA-256", sha256, sha256_file(self.root / path), todo)
        except (OSError, ValueError) as error:
            self.add(path, "a readable file", reason(error), todo)
        return True

    def same_weights(self, path: str, trained: str, sha256: str, todo: str) -> None:
        """`path` says that it was made with the weights that this train.json names."""
        if self.there(trained):
            self.same(path, f"weights of {trained}:", self.weights_of(trained), sha256, todo)
        else:
            self.lost(trained, path, todo)

    def todo(self, path: str, otherwise: str) -> str:
        """What to do about a damaged file; it never says to delete what leads to a good copy."""
        return REPAIR if self.there(paths.entry(path)) else otherwise

    def lost(self, path: str, needed_by: str, todo: str) -> None:
        """A file of a run is missing: not pulled if it has a DVC entry, else lost."""
        if self.there(paths.entry(path)):
            self.missing(path, bring(path))
        else:
            self.add(path, f"the file that {needed_by} names", "none", todo)

    def summary(self) -> str:
        """What was checked, in one line."""
        counts = [f"{count} {kind}" for kind, count in sorted(self.checked.items())]
        return f"checked: {', '.join(counts) or 'nothing is here'}"


def refuse(findings: Findings) -> None:
    """Raises ResultError when anything does not fit."""
    if findings.wrong:
        count = len(findings.wrong)
        raise ResultError(
            f"{count} thing{'' if count == 1 else 's'} of the above do{'es' if count == 1 else ''} "
            "not fit; each line says what to do"
        )


def _short(value: object) -> str:
    text = "none" if value is None else one_line(value)
    return text if len(text) < 64 else text[:SHOWN]
