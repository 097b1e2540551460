"""Files made to crash, starve or hold up their decoder end in one line that names them."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from dmnet.data.guarded import Decoder, UnreadableError, _checked, check_image, check_label
from dmnet.data.pascal_context import read_label_map
from dmnet.data.voc2012 import read_sbd_label
from dmnet.errors import DataError, RunError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(seconds=0.5)
    yield decoder
    decoder.close()


@pytest.fixture
def png(tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "intact.png")
    return tmp_path / "intact.png"


def mat(content: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content)
    return buffer.getvalue()


def crashing(content: bytes) -> bytes:
    """Its matrix of 9 x 9 bytes says that it holds elements of type 0, which does not exist."""
    tag = struct.pack("<II", 2, 81)
    assert tag in content
    return content.replace(tag, struct.pack("<II", 0, 81))


READERS: dict[str, tuple[Callable[[Path], np.ndarray], dict[str, object]]] = {
    "SBD": (read_sbd_label, {"GTcls": {"Segmentation": np.ones((9, 9), np.uint8)}}),
    "Pascal-Context": (
        lambda path: read_label_map(path, 459),
        {"LabelMap": np.ones((9, 9), np.uint8)},
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_matrix_that_crashes_scipy_is_named_and_the_next_one_is_read(
    tmp_path: Path, name: str
) -> None:
    read, content = READERS[name]
    (tmp_path / "good.mat").write_bytes(mat(content))
    (tmp_path / "evil.mat").write_bytes(crashing(mat(content)))
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            read(tmp_path / "evil.mat")
        line = str(caught.value)
        assert line.startswith("evil.mat: crashes its decoder (SIG")
        assert line.endswith("download it again") and "\n" not in line
        assert read(tmp_path / "good.mat").tolist() == [[1] * 9] * 9


def test_many_files_are_decoded_by_one_process(decoder: Decoder, png: Path) -> None:
    assert check_image(png, decoder) == (4, 6)
    first = decoder.pid
    with pytest.raises(DataError, match="absent"):
        check_label(png.with_name("absent.png"), decoder)
    assert check_label(png, decoder) == ((4, 6), [0])
    assert decoder.pid == first


def test_a_decoder_that_hangs_is_ended(decoder: Decoder, png: Path) -> None:
    check_image(png, decoder)
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGSTOP)
    with pytest.raises(DataError, match=r"intact\.png: is not decoded after 6 seconds"):
        check_image(png, decoder)
    assert check_image(png, Decoder()) == (4, 6)


def test_a_decoder_that_somebody_ended_is_not_the_file_s_fault(decoder: Decoder, png: Path) -> None:
    check_image(png, decoder)
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGKILL)
    with pytest.raises(RunError, match=r"from outside \(SIGKILL\).*run the same command again"):
        check_image(png, decoder)
    assert check_image(png, decoder) == (4, 6)


def test_a_file_that_needs_more_memory_than_stated_is_named(tmp_path: Path) -> None:
    """The first decoder is one in Rust, which fails in its own way."""
    decoder = Decoder(memory=2**24)
    path = tmp_path / "large.png"
    for mode in ("RGB", "P"):
        Image.new(mode, (5000, 5000)).save(path)
        with pytest.raises(DataError, match=r"large\.png: (needs more than 16 MiB|makes its dec)"):
            check_image(path, decoder)
    decoder.close()


def test_the_worker_ends_with_its_parent(tmp_path: Path, png: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from dmnet.data.guarded import check_image, shared\n"
        "check_image(Path(sys.argv[1])); print(shared().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(png)],
        check=False,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    worker = Path(f"/proc/{int(ran.stdout)}")
    deadline = time.monotonic() + 30
    while worker.exists() and "\nState:\tZ" not in (worker / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_that_cannot_start_says_why(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(RunError, match=r"cannot be started \(ModuleNotFoundError"):
        check_image(png, Decoder())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b'{"shape": [1]}',
        b'{"shape": [-1, 1]}',
        b'{"shape": [1, 1], "bytes": 1000000000000}',
        b'{"shape": [1, 1], "dtype": "|O", "bytes": 8}',
        b'{"shape": [99999, 99999], "dtype": "|u1", "bytes": 9999800001}',
        b'{"shape": [1, 1], "values": ["a"]}',
        b'{"error": {}}',
        b"[" * 100_000,
    ],
)
def test_what_a_taken_over_worker_may_answer_is_refused(line: bytes) -> None:
    with pytest.raises(UnreadableError, match="nonsense"):
        _checked(line)
