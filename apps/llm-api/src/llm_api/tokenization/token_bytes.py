"""The bytes that a vocabulary's token strings stand for, derived from the `decoder` of tokenizer.json."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_PIECEWISE = {"Replace", "ByteFallback", "Fuse", "Strip"}


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """`of` maps a token string to its bytes. At a text's start, up to `strip_start` spaces are dropped."""

    of: Callable[[str], bytes]
    strip_start: int = 0


def token_bytes_from(decoder: dict[str, Any] | None) -> TokenBytes | None:
    """None for a decoder that does not decode each token independently (WordPiece, CTC and so on)."""
    steps = _steps(decoder)
    types = [step["type"] for step in steps]
    if types in (["ByteLevel"], ["ByteLevel", "Fuse"], ["Fuse", "ByteLevel"]):
        return TokenBytes(_byte_level())
    if steps and _PIECEWISE.issuperset(types) and _is_plain(steps, types):
        strip_start = sum(step["start"] for step in steps if step["type"] == "Strip")
        return TokenBytes(_pieces(steps, byte_fallback="ByteFallback" in types), strip_start)
    return None


def _steps(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        return []
    return list(decoder["decoders"]) if decoder["type"] == "Sequence" else [decoder]


def _is_plain(steps: Sequence[dict[str, Any]], types: Sequence[str]) -> bool:
    """True where each token decodes independently: strings are replaced, then all is fused, then only leading spaces are stripped."""
    if "Fuse" not in types or set(types[: types.index("Fuse")]) - {"Replace", "ByteFallback"}:
        return False
    after = steps[types.index("Fuse") + 1 :]
    plain_strips = all(step["type"] == "Strip" and step["content"] == " " and step["stop"] == 0 for step in after)
    return plain_strips and all("String" in step["pattern"] for step in steps if step["type"] == "Replace")


def _byte_level() -> Callable[[str], bytes]:
    """GPT-2's map: printable bytes are their own characters, the others are U+0100 and up, in order."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = (byte for byte in range(256) if byte not in printable)
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(hidden)}

    def of(token: str) -> bytes:
        try:
            return bytes([byte_of[char] for char in token])
        except KeyError:  # an added token stands for its own text
            return token.encode()

    return of


def _pieces(steps: Sequence[dict[str, Any]], byte_fallback: bool) -> Callable[[str], bytes]:
    replacements = [(step["pattern"]["String"], step["content"]) for step in steps if step["type"] == "Replace"]

    def of(token: str) -> bytes:
        for old, new in replacements:
            token = token.replace(old, new)
        if byte_fallback and (byte := _BYTE_TOKEN.fullmatch(token)):
            return bytes.fromhex(byte[1])
        return token.encode()

    return of
