"""A web server on 127.0.0.1 that serves files as badly as the network does."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Answer:
    """What is sent for one path.

    - ranges: whether a question for a part of the content is understood
    - cut_after: how many bytes of the content each answer sends at most
    - silent: whether the connection then stays open, and nothing more comes
    - shift: how many bytes a part begins after where it was asked for
    - location: where the content is instead
    """

    content: bytes = b""
    status: int = 200
    kind: str = "application/gzip"
    ranges: bool = True
    cut_after: int | None = None
    silent: bool = False
    shift: int = 0
    location: str | None = None


class FileServer(http.server.ThreadingHTTPServer):
    """`answers` says what each path gives, else 404; `asked` lists (path, range asked for); all wait for `gate`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.gate, self.closing = threading.Event(), threading.Event()
        self.gate.set()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        path = self.path.strip("/")
        self.server.asked.append((path, self.headers.get("Range")))
        self.server.gate.wait(60)
        answer = self.server.answers.get(path, Answer(status=404))
        start, found = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found and answer.ranges and answer.status == 200:
            start = int(found[1]) + answer.shift
        if start and start >= len(answer.content):
            self.send_error(416)
            return
        self.send_response(206 if start else answer.status)
        if answer.location:
            self.send_header("Location", answer.location)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(answer.content) - 1}/{len(answer.content)}")
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content) - start))
        self.end_headers()
        content = answer.content[start:]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content[: answer.cut_after])
            self.wfile.flush()
            if answer.silent:
                self.server.closing.wait(60)

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[FileServer]:
    server = FileServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.closing.set()
        server.gate.set()
        server.shutdown()
        server.server_close()
