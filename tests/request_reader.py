"""What the HTTP parser of the hub makes of a request."""

from __future__ import annotations

import httptools


class ReadRequest:
    """A request as httptools reads it.

    Raises:
        httptools.HttpParserError: It is none.
    """

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_complete = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()
        self.version = parser.get_http_version()
        self.keeps_alive = parser.should_keep_alive()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = True

    @property
    def judged(self) -> tuple[object, ...]:
        kept = [it for it in self.headers if it[0].lower() != b"content-length"]
        return self.method, self.url, self.version, self.keeps_alive, kept
