"""An S3 server (moto's) in this process that fails on demand: refuses, loses its answer, cuts it, has no room left."""

import os
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["CUT", "FULL", "KEY", "LOST", "REFUSED", "SECRET", "Fails", "S3Server", "s3_server"]

KEY, SECRET = "AKIASEIMAITESTKEY000", "a-very-secret-test-value"

REFUSED, LOST, CUT, FULL = "refused", "lost", "cut", "full"
"""Faults: 503 before anything is done; the same after it was done; half of the answer, then the line is dead; 507."""
_ANSWERS = {
    REFUSED: ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    LOST: ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    FULL: ("507 Insufficient Storage", "XMinioStorageFull", "Storage backend has reached its minimum free space."),
}

Fails = Callable[[int, str, str], str]
"""The fault of a request (number, method, path); empty: none."""


class S3Server:
    """What was asked of the server, and `fails`: how it fails a request."""

    def __init__(self, app: Any) -> None:
        self._app, self._lock = app, threading.Lock()
        self.asked: list[tuple[str, str]] = []
        self.fails: Fails = _never

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (WSGI)."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.asked.append((method, path))
            fault = self.fails(len(self.asked), method, path)
        if fault in ("", CUT):
            answer: Iterable[bytes] = self._app(environ, start)
            return answer if not fault else _half(answer, environ["werkzeug.socket"])
        if fault == LOST:
            b"".join(self._app(environ, lambda *told: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code, message = _ANSWERS[fault]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    def asked_to(self, *methods: str) -> list[str]:
        """Paths of the requests of some methods."""
        return [path for method, path in self.asked if method in methods]

    def forget(self) -> None:
        """Forget what was asked, fail no more."""
        with self._lock:
            self.asked.clear()
            self.fails = _never


def _never(number: int, method: str, path: str) -> str:
    return ""


def _half(answer: Iterable[bytes], line: socket.socket) -> Iterator[bytes]:
    """Half of an answer, then the line is dead."""
    body = b"".join(answer)
    yield body[: len(body) // 2]
    line.shutdown(socket.SHUT_RDWR)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with an empty bucket `seimai`; its address and who may use it stand in the environment, as for users."""
    import fsspec
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:
            """Nothing is printed."""

    served = S3Server(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, served, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    given["AWS_MAX_ATTEMPTS"] = "1"  # of botocore, whose pauses are long; s3fs tries again as well
    given["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_address[1]}"
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        reset = urllib.request.Request(f"{given['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()  # moto keeps buckets as long as the process lives
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("seimai")
        yield served
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        fsspec.filesystem("s3").clear_instance_cache()
        server.shutdown()
        thread.join()
        server.server_close()
