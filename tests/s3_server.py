"""An S3 server (moto's) in this process that fails on demand: with 503 as a store under load does, before it acts."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["KEY", "SECRET", "S3Server", "s3_server"]

KEY, SECRET = "AKIASEIMAITESTKEY000", "a-very-secret-test-value"
_SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


class S3Server:
    """What was asked of the server, and `fails`: whether it refuses a request (number, method, path)."""

    def __init__(self, app: Any) -> None:
        self._app, self._lock = app, threading.Lock()
        self.asked: list[tuple[str, str]] = []
        self.fails: Callable[[int, str, str], bool] = _never

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (WSGI)."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            self.asked.append((method, path))
            fails = self.fails(len(self.asked), method, path)
        if fails:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(_SLOW_DOWN)))])
            return [_SLOW_DOWN]
        answer: Iterable[bytes] = self._app(environ, start)
        return answer

    def asked_to(self, *methods: str) -> list[str]:
        """Paths of the requests of some methods."""
        return [path for method, path in self.asked if method in methods]

    def forget(self) -> None:
        """Forget what was asked, fail no more."""
        with self._lock:
            self.asked.clear()
            self.fails = _never


def _never(number: int, method: str, path: str) -> bool:
    return False


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with an empty bucket `seimai`; its address and who may use it stand in the environment, as for users."""
    import fsspec
    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):  # type: ignore[misc]
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
