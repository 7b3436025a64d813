"""The worker process's side of its connection to the API process."""

import os
import socket
import threading
from queue import SimpleQueue
from typing import Any, TypeVar

import msgspec

from llm_api.engine.messages import LENGTH_BYTES, frame

Config = TypeVar("Config", bound=msgspec.Struct)


class ApiSocket:
    def __init__(self, fd: int) -> None:
        self._connection = socket.socket(fileno=fd)
        self._stream = self._connection.makefile("rb")

    def config(self, kind: type[Config]) -> Config:
        """The first message. Raises EOFError if the API process exited before it sent one."""
        return msgspec.msgpack.decode(self._read(), type=kind)

    def receive_into(self, inbox: "SimpleQueue[Any]", kind: Any) -> None:
        """Puts the messages into `inbox`, from a thread of its own."""
        threading.Thread(target=self._receive, args=(inbox, msgspec.msgpack.Decoder(kind)), daemon=True).start()

    def send(self, message: msgspec.Struct) -> None:
        self._connection.sendall(frame(message))

    def _receive(self, inbox: "SimpleQueue[Any]", decoder: "msgspec.msgpack.Decoder[Any]") -> None:
        while True:
            try:
                body = self._read()
            except (EOFError, OSError):
                # The API process is gone. Exit at once: even a step that hangs must not outlive it.
                os._exit(1)
            inbox.put(decoder.decode(body))

    def _read(self) -> bytes:
        header = self._stream.read(LENGTH_BYTES)
        body = self._stream.read(int.from_bytes(header, "big"))
        if len(header) < LENGTH_BYTES or len(body) < int.from_bytes(header, "big"):
            raise EOFError
        return body
