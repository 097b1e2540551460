"""Where files are opened or taken apart in the two packages, found in their sources.

A door is a function that calls a library or a function of ours that reads a file's content. Every
door has to be passed by a call of `readers`, or to stand in NOT_FOR_STRANGERS with the reason: so
whoever opens a file by a new way is told.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.study import REPOSITORY

PACKAGES = ("dmnet", "pipeline")
# The libraries' and our own; of a dotted name its last two parts, or the last one alone.
READING = {
    *("open", "read_text", "read_bytes", "open_plain", "read_bounded", "read_content", "list_text"),
    *("json.load", "json.loads", "parse_json", "read_json", "read_result_file", "read_if_whole"),
    *("yaml.load", "yaml.parse", "yaml.safe_load", "yaml.load_all", "load_yaml", "load_named"),
    *("torch.load", "torch.jit.load", "pickle.load", "pickle.loads", "np.load", "np.fromfile"),
    *("np.loadtxt", "np.genfromtxt", "pd.read_csv", "safetensors.load_file", "tomllib.load"),
    *("Image.open", "io.loadmat", "io.read_image_any", "io.decode_image_png_u8", "cv2.imread"),
    *("cv2.imdecode", "plt.imread", "imageio.imread", "ElementTree.parse", "minidom.parse"),
    *("tarfile.open", "zipfile.ZipFile", "zipfile.is_zipfile", "shutil.unpack_archive"),
    *("gzip.open", "bz2.open", "lzma.open", "csv.reader", "csv.DictReader", "config.read"),
    *("sqlite3.connect", "file_digest", "sha256_file", "file_md5", "read_state_dict", "read_file"),
    *("read_checkpoint", "read_history", "read_entry", "Manifest.load", "fileinput.input"),
}
WRITING = {"w", "a", "x", "wb", "ab", "xb", "w+", "a+", "wb+", "ab+", "r+b"}
NOT_FOR_STRANGERS = {
    "dmnet.data.archives:_md5": "an archive of which nothing is read before its MD5 fits",
    "dmnet.checkout": "this clone's own code and git",
    "dmnet.importers.download": "what a server sends, which is compared with a published hash",
    "dmnet.gpus": "/proc and device files of this machine",
    "dmnet.speed": "/proc of this machine",
    "dmnet.provenance": "/proc of this machine",
    "dmnet.processes": "what another process of the same training sends",
    "dmnet.data.decoding": "in a process of its own, which the calls of `guarded` start",
    "dmnet.data.guarded": "what that process answers",
    "pipeline.dvc.lists": "in a process of its own, with DVC and a remote (tests/workflow)",
    "pipeline.reports.fidelity": "what this clone's own tests have just written",
    "pipeline.inspection.gpu_status": "what whoever measured put into docs/gpu",
    "pipeline.workflow.code": "this clone's own code",
    "pipeline.tracking.store": "with an MLflow store (tests/workflow)",
}


def doors() -> set[str]:
    """`module:function` of each, a method with its class."""
    found = set()
    for package in PACKAGES:
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            module = ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
            module = module.removesuffix(".__init__")
            found |= {f"{module}:{name}" for name in _functions(ast.parse(file.read_text()), "")}
    return found


def _functions(node: ast.AST, inside: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _functions(child, f"{inside}.{child.name}".lstrip("."))
        else:
            if isinstance(child, ast.Call) and _reads(child):
                yield inside or "<module>"
            yield from _functions(child, inside)


def _reads(call: ast.Call) -> bool:
    parts = ast.unparse(call.func).split(".")
    if not {parts[-1], ".".join(parts[-2:])} & READING:
        return False
    texts = [a.value for a in (*call.args, *(k.value for k in call.keywords)) if _is_text(a)]
    return not WRITING & {*texts}


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def function_of(file: str, qualified: str) -> str | None:
    """As `doors` names it, of a frame's code; None where it is none of ours."""
    path = Path(file)
    if not path.is_relative_to(REPOSITORY):
        return None
    module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    names = [part for part in qualified.split(".") if part != "<locals>" and part[0] != "<"]
    return f"{module.removesuffix('.__init__')}:{'.'.join(names) or '<module>'}"


def unknown(passed: set[str]) -> list[str]:
    """The doors that no call has passed and that are no exception."""
    return sorted(
        door
        for door in doors() - passed
        if not {door, door.split(":")[0]} & NOT_FOR_STRANGERS.keys()
    )
