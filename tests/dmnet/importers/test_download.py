"""Downloads, from a real server on this machine that breaks off, lies, or gives nothing."""

from __future__ import annotations

import errno
import hashlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dmnet.errors import CheckpointError, RunError
from dmnet.importers import download as module
from dmnet.importers.download import UnavailableError, download

CONTENT = bytes(range(256)) * 2048  # 512 KiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and the `Range` of every request it got."""

    content: bytes = CONTENT
    ranges: bool = True  # does it know ranges?
    breaks_after: list[int] = field(default_factory=list)  # bytes, one entry per request
    statuses: list[int] = field(default_factory=list)  # errors first, one entry per request
    etag: str | None = None
    pause: float = 0.0  # seconds between pieces
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def reply(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            handler.send_error(status)
            return
        start = 0
        condition = handler.headers.get("If-Range")
        if asked and self.ranges and condition in (None, self.etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(self.content)}")
                handler.end_headers()
                return
            handler.send_response(206)
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(self.content) - start))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        end = self.breaks_after.pop(0) if self.breaks_after else len(self.content)
        for place in range(start, end, 2**16):
            handler.wfile.write(self.content[place : min(place + 2**16, end)])
            handler.wfile.flush()
            time.sleep(self.pause)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.reply(self)

        def log_message(self, *arguments: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    state.url = f"http://127.0.0.1:{http.server_port}/model.pth"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "model.pth"


def published(digest: str) -> bool:
    return digest == DIGEST


def get(server: Server, path: Path, accept: Callable[[str], bool] | None = published) -> None:
    download(server.url, path, accept, wait=0.01)


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_a_file_arrives_whole_and_alone(
    server: Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        get(server, path)
    assert path.read_bytes() == CONTENT and names(path) == ["model.pth"]
    assert "model.pth: 0.5 of 0.5 MiB (100 %)" in caplog.text


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, path: Path) -> None:
    server.breaks_after = [131072, 262144]
    get(server, path)
    assert path.read_bytes() == CONTENT and names(path) == ["model.pth"]
    assert server.asked == [None, "bytes=131072-", "bytes=262144-"]


def test_progress_starts_the_counting_of_failures_anew(server: Server, path: Path) -> None:
    server.breaks_after = [2**16 * n for n in range(1, 8)]
    get(server, path)
    assert path.read_bytes() == CONTENT and len(server.asked) == 8


def test_a_killed_download_is_resumed_by_the_next_process(server: Server, path: Path) -> None:
    server.pause = 0.2
    code = (
        "import sys; from pathlib import Path; from dmnet.importers.download import download\n"
        "download(sys.argv[1], Path(sys.argv[2]), lambda digest: True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(path)])
    part = path.with_name("model.pth.part")
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    arrived = part.stat().st_size
    assert 0 < arrived < len(CONTENT) and not path.exists()
    server.pause = 0
    get(server, path)
    assert path.read_bytes() == CONTENT and names(path) == ["model.pth"]
    assert server.asked[-1] == f"bytes={arrived}-"


def test_a_server_without_ranges_sends_it_from_the_start(server: Server, path: Path) -> None:
    server.ranges = False
    server.breaks_after = [131072]
    get(server, path)
    assert path.read_bytes() == CONTENT and server.asked == [None, "bytes=131072-"]


def test_without_a_published_hash_a_part_is_continued_only_if_the_server_marks_its_versions(
    server: Server, path: Path
) -> None:
    server.breaks_after = [131072]
    get(server, path, None)
    assert path.read_bytes() == CONTENT and server.asked == [None, None]

    path.unlink()
    server.asked.clear()
    server.etag, server.breaks_after = '"1"', [131072]
    get(server, path, None)
    assert path.read_bytes() == CONTENT and server.asked == [None, "bytes=131072-"]


def test_a_file_that_changed_on_the_server_is_not_put_together(server: Server, path: Path) -> None:
    server.etag, server.breaks_after = '"1"', [131072] * 4
    server.statuses = [200, 404]
    with pytest.raises(UnavailableError):
        get(server, path, None)
    server.content, server.etag, server.breaks_after = CONTENT[::-1], '"2"', []
    get(server, path, None)
    assert path.read_bytes() == CONTENT[::-1] and server.asked[-1] == "bytes=131072-"


def test_a_wrong_file_is_refused_and_nothing_of_it_stays(server: Server, path: Path) -> None:
    server.content = b"another file"
    with pytest.raises(CheckpointError, match="gave another file") as caught:
        get(server, path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert names(path) == [] and len(server.asked) == 1


def test_a_wrong_beginning_costs_one_more_download(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("model.pth.part").write_bytes(b"x" * 1000)
    get(server, path)
    assert path.read_bytes() == CONTENT and server.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("extra", [0, 7])
def test_what_is_as_long_as_the_file_or_longer_is_judged_by_its_hash(
    server: Server, path: Path, extra: int
) -> None:
    path.parent.mkdir()
    path.with_name("model.pth.part").write_bytes(CONTENT + b"x" * extra)
    get(server, path)
    assert path.read_bytes() == CONTENT and names(path) == ["model.pth"]


def test_an_absent_file_is_not_asked_for_again(server: Server, path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(UnavailableError, match=r"^status 404 \(Not Found\)$"):
        get(server, path)
    assert len(server.asked) == 1 and not path.parent.exists()


def test_a_server_in_trouble_is_asked_again(server: Server, path: Path) -> None:
    server.statuses = [500, 503, 429]
    get(server, path)
    assert path.read_bytes() == CONTENT and len(server.asked) == 4


def test_a_server_that_stays_in_trouble_is_given_up(server: Server, path: Path) -> None:
    server.statuses = [500] * 9
    with pytest.raises(UnavailableError, match=r"status 500 .*, 4 times in a row"):
        get(server, path)
    assert len(server.asked) == 4


def test_no_network(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnavailableError) as caught:
        download(f"http://127.0.0.1:{port}/model.pth", path, published, wait=0.01, attempts=2)
    assert f"no answer from 127.0.0.1:{port} (Connection refused)" in str(caught.value)


def test_a_full_disk_is_one_line_and_what_arrived_stays(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = Path.open, [200_000]

    class Full:
        """A stream on a disk with 200 kB left."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def write(self, chunk: bytes) -> None:
            if left[0] < len(chunk):
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= len(chunk)
            self.stream.write(chunk)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *arguments: object) -> None:
            self.stream.close()

    def small(self: Path, mode: str = "r", *arguments: Any, **keywords: Any) -> Any:
        stream = real(self, mode, *arguments, **keywords)
        return Full(stream) if mode == "ab" else stream

    monkeypatch.setattr(module.Path, "open", small)
    with pytest.raises(RunError, match=r"No space left on device.*free space") as caught:
        get(server, path)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert path.with_name("model.pth.part").stat().st_size == 196_608
    get(server, path)
    assert path.read_bytes() == CONTENT and server.asked[-1] == "bytes=196608-"


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(RunError, match="cannot be written"):
        get(server, tmp_path / "weights" / "model.pth")
