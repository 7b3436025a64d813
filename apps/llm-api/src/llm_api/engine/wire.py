"""Frames on the socket between the two processes: four bytes of length, big endian, then msgpack."""

import msgspec

LENGTH = 4


def frame(message: msgspec.Struct) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH, "big") + body
