"""The code that stands behind a rule's output: what its modules import, found in the sources.

A report that was written by other code than today's may say something else. No list of files is
kept by hand for that: from the module that a command calls, every import is followed, those within
functions, too, and whatever lies beside a module without being Python (templates) is taken along.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from dmnet.files import sha256_bytes

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "dmnet")
# At the beginning of a line; several names may be in parentheses, over several lines.
IMPORT = re.compile(
    rf"^[ \t]*(?:from[ \t]+((?:{'|'.join(PACKAGES)})[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)"
    rf"|import[ \t]+((?:{'|'.join(PACKAGES)})[\w.]*))",
    re.MULTILINE,
)


@cache
def code_hash(*modules: str) -> str:
    """Of all code that `modules` can run, their own included: changes with any of its files."""
    digests = "".join(f"{path} {_digest(path)}\n" for path in code_of(*modules))
    return sha256_bytes(digests.encode())


@cache
def code_of(*modules: str) -> tuple[str, ...]:
    """Its files, relative to the clone, in order."""
    files: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if (path := _file_of(module)) is None or path in files:
            continue
        files |= {path, *_beside(path)}
        waiting += [module.rpartition(".")[0], *_imported(path)]
    return tuple(sorted(files))


@cache
def _imported(path: str) -> tuple[str, ...]:
    """Modules, and names in modules that may be modules themselves."""
    found = []
    for module, names, alone in IMPORT.findall((ROOT / path).read_text(encoding="utf-8")):
        listed = re.sub(r"#[^\n]*", "", names).strip("()").split(",")
        found.append(module or alone)
        found += [f"{module}.{words[0]}" for name in listed if (words := name.split())]
    return tuple(found)


@cache
def _file_of(module: str) -> str | None:
    path = module.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py")
    return next((file for file in files if (ROOT / file).is_file()), None)


@cache
def _beside(path: str) -> tuple[str, ...]:
    """The templates of a module's folder."""
    folder = (ROOT / path).parent / "templates"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(str(file.relative_to(ROOT)) for file in files)


@cache
def _digest(path: str) -> str:
    return sha256_bytes((ROOT / path).read_bytes())
