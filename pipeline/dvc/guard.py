"""Checks what DVC would read of this tree, before DVC does: `python -m pipeline check`.

DVC follows every path of every `*.dvc`, `dvc.yaml` and `dvc.lock` in the tree, all of which may
have come by git: so each has to be an entry of this project that names its own result's files
(`dvc_entries`), behind no link.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from dmnet.errors import DMNetError
from pipeline import paths
from pipeline.dvc.cache import cache_folder
from pipeline.dvc.entries import DvcEntry, names_only, printable, read_entry
from pipeline.dvc.shareable import behind_a_link
from pipeline.errors import RecordError
from pipeline.escaping import few
from pipeline.spec.yaml_files import load_yaml

STAGE = {"desc", "cmd", "always_changed"}  # of dvc.yaml's only stage, which owns no file
DEEPEST = 12  # levels of dvc.yaml, which has 4
LARGEST = 2**20  # bytes of dvc.yaml, which has 10,000
NAMED = 5  # bad files that one error names


def check_tree(root: Path = Path(".")) -> list[DvcEntry]:
    """All entries. Raises RecordError, which names what DVC must not read."""
    checked, problems = [], {}
    for kind in paths.SHARED:
        if (root / kind).is_symlink():
            raise RecordError(behind_a_link(kind))
    for path in _files(root):
        try:
            if not path.endswith(".dvc"):
                _check_stages(path, root)
            elif not names_only(path, root):  # as a break leaves it: DVC finds nothing there
                entry = read_entry(path, root)
                check_links(entry, root)
                entry.files(root)  # the lists of folders that are here
                checked.append(entry)
        except DMNetError as error:
            problems[printable(path)] = str(error)
    if problems:
        first, *others = problems
        also = f"; the same of {few(others, NAMED)}" if others else ""
        raise RecordError(f"{problems[first]}{also}")
    return checked


def check_links(entry: DvcEntry, root: Path = Path(".")) -> None:
    """Raises RecordError where a link stands in the way to a file that the entry names.

    The files themselves may be links to DVC's cache, which DVC makes (`cache.type`).
    """
    cache = cache_folder(root).resolve()
    for out in entry.outs:
        folders = [root / place for place in [*PurePosixPath(out).parents][:-1]]
        files = [root / out]
        if files[0].is_dir() and not files[0].is_symlink():
            files = [*files[0].iterdir()]
        for path in (*folders, *files):
            if path.is_symlink() and (path in folders or not path.resolve().is_relative_to(cache)):
                raise RecordError(behind_a_link(printable(path.relative_to(root).as_posix())))


def _files(root: Path) -> list[str]:
    """Everything of the tree that DVC reads; another DVC project inside is none of it.

    Raises RecordError where such a project hides results: DVC would pass over them in silence.
    """
    read_by_dvc = []
    for place, folders, files in os.walk(root):
        folder = Path(place)
        if folder != root and ".dvc" in folders:
            inside = folder.relative_to(root)
            if inside.parts[0] in paths.SHARED:
                raise RecordError(
                    f"{printable(inside.as_posix())}/.dvc: makes DVC pass over everything beside "
                    "it; look where it came from and delete it"
                )
            folders.clear()
            continue
        names = [*files, *(name for name in folders if (folder / name).is_symlink())]
        folders[:] = [name for name in folders if name not in (".git", ".hg", ".dvc")]
        read_by_dvc += [
            (folder / name).relative_to(root).as_posix()
            for name in names
            if name.endswith(".dvc") or name in ("dvc.yaml", "dvc.lock")
        ]
    return sorted(read_by_dvc)


def _check_stages(path: str, root: Path) -> None:
    """The root's own dvc.yaml has one stage without files. Raises DMNetError."""
    if path == "dvc.lock":
        return  # of stages that own no file; without one in dvc.yaml nothing of it counts
    content: dict[str, Any] = {}
    if path == "dvc.yaml":
        _check_depth(root / path)
        content = load_yaml(root / path)
    stages = content.get("stages")
    whole = isinstance(stages, dict) and all(
        isinstance(stage, dict) and stage.keys() <= STAGE for stage in stages.values()
    )
    if not whole or content.keys() - {"stages", "params", "metrics", "plots"}:
        raise RecordError(
            f"{printable(path)}: stages or files of DVC that are none of this project's; look "
            f"where they came from and `git checkout -- {printable(path)}` or delete it"
        )


def _check_depth(path: Path) -> None:
    """YAML's own readers go down by recursion, some of them in C. Raises RecordError."""
    depth, wrong = 0, path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST
    try:
        for event in () if wrong else yaml.parse(path.read_text(), Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if wrong := depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                break
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: no YAML; restore it from git") from error
    if wrong:
        raise RecordError(f"{path}: too large or nested too deep; restore it from git")
