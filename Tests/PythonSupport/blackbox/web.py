"""A small keep-alive HTTP client: one connection a thread, nothing between the test and the bytes."""

from __future__ import annotations

import http.client
import json
import select
import threading
from urllib.parse import urlsplit


class Answer:
    """A complete response."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        """The body as JSON; numbers keep their text in `Number`."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<{self.status} {self.text[:600]}>"


class Web:
    """Sends requests to one origin. Safe to share between threads."""

    def __init__(self, origin: str, timeout: float = 30) -> None:
        parts = urlsplit(origin)
        self.host, self.port, self.timeout = parts.hostname, parts.port, timeout
        self.origin = f"http://{self.host}:{self.port}"
        self._local = threading.local()

    def request(self, method: str, path: str, body: bytes | str | None = None, headers: dict | None = None) -> Answer:
        """Sends one request. Raises OSError or HTTPException when no complete response came back."""
        if path.startswith("http"):
            parts = urlsplit(path)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        if isinstance(body, str):
            body = body.encode()
        connection = self._connection()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
            if response.will_close:
                self.close()
            return answer
        except BaseException:
            self.close()
            raise

    def _connection(self) -> http.client.HTTPConnection:
        connection = getattr(self._local, "connection", None)
        if connection is not None and connection.sock is not None:
            if not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        self._local.connection = connection
        return connection

    def close(self) -> None:
        """Closes this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None
