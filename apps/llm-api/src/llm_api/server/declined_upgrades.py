"""Parses requests that offer an upgrade (h2c, websocket) as if they did not, as RFC 9110, section 7.8, allows.

The parser treats everything after the head of such a request as another protocol, so its body would be lost. All requests of Java's
HttpClient over http:// offer h2c.
"""

from typing import Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

MAX_OFFERS = 32  # of pipelined requests that arrive together: each one copies the rest of the data
UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


class Head(Protocol):
    """The part of the head that uvicorn's protocol collects while the parser runs."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class UpgradeDecliningParser:
    """Replaces the parser of a connection. `protocol` must ignore the callbacks of a message while `should_upgrade` is true."""

    def __init__(self, protocol: Head) -> None:
        self._protocol = protocol
        self._parser = HttpRequestParser(protocol)

    def get_method(self) -> bytes:
        return self._parser.get_method()

    def get_http_version(self) -> str:
        return self._parser.get_http_version()

    def should_keep_alive(self) -> bool:
        return self._parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        """Whether the message offers an upgrade. False for CONNECT, which is no offer and has no other meaning."""
        return self._parser.should_upgrade() and self.get_method() != b"CONNECT"

    def feed_data(self, data: bytes) -> None:
        """Raises HttpParserUpgrade for CONNECT, and HttpParserError."""
        for _ in range(MAX_OFFERS):
            try:
                return self._parser.feed_data(data)
            except HttpParserUpgrade as offer:
                if not self.should_upgrade():
                    raise
                data = self._head_without_offer() + data[offer.args[0] :]
                self._parser = HttpRequestParser(self._protocol)  # the message begins again
        raise HttpParserError("too many offers to upgrade at once")

    def _head_without_offer(self) -> bytes:
        request_line = b"%b %b HTTP/%b" % (self.get_method(), self._protocol.url, self.get_http_version().encode())
        kept = [b"%b: %b" % header for header in map(_without_offer, self._protocol.headers) if header[0] not in UPGRADE_HEADERS]
        return b"\r\n".join([request_line, *kept, b"", b""])


def _without_offer(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = header
    if name != b"connection":
        return header
    options = [option.strip() for option in value.split(b",")]
    return name, b", ".join(option for option in options if option.lower() not in UPGRADE_HEADERS)
