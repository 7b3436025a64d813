"""API keys: names and SHA-256 digests, from a setting or from a file that is read again when it changes."""

import hashlib
import re
import secrets
from pathlib import Path

import structlog

ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]{64})")


class ApiKeysError(ValueError):
    """One line that says which entry is malformed, without its content."""


def new_key(name: str) -> tuple[str, str]:
    """A fresh key and its `name:sha256` entry. The key itself is kept nowhere."""
    key = "sk-" + secrets.token_urlsafe(32)
    return key, f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def parse_keys(text: str, source: str) -> dict[bytes, str]:
    """Names by digest. Entries stand on lines or between commas; `#` begins a comment line."""
    names: dict[bytes, str] = {}
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = (entry.strip() for line in lines for entry in line.split(","))
    for position, entry in enumerate(filter(None, entries), 1):
        if not (match := ENTRY.fullmatch(entry)):
            raise ApiKeysError(f"{source}: entry {position} is not `name:sha256`; `llm-api keys new NAME` makes one")
        names[bytes.fromhex(match[2])] = match[1]
    return names


class ApiKeys:
    def __init__(self, inline: str | None, file: Path | None) -> None:
        """Raises ApiKeysError when there is a source but no key in it."""
        self._file = file
        self._inline = parse_keys(inline or "", "API_KEYS")
        self._version = self._file_version()
        self._names = self._inline | self._read()
        self._log = structlog.stdlib.get_logger("llm_api.keys")
        if (inline or file) and not self._names:
            raise ApiKeysError("API_KEYS and API_KEYS_FILE hold no key; `llm-api keys new NAME` makes one")

    @property
    def required(self) -> bool:
        """False when no source of keys is configured: anyone may call. A file that became empty lets nobody in."""
        return bool(self._inline) or self._file is not None

    def name_of(self, key: str) -> str | None:
        """Whose key it is. Compares with every key, each in constant time, so that time tells nothing."""
        self._refresh()
        digest, found = hashlib.sha256(key.encode(errors="surrogateescape")).digest(), None
        for known, name in self._names.items():
            if secrets.compare_digest(known, digest):
                found = name
        return found

    def _refresh(self) -> None:
        if (version := self._file_version()) == self._version:
            return
        self._version = version
        try:
            self._names = self._inline | self._read()
            self._log.info("API keys read again", keys=len(self._names))
        except ApiKeysError as error:
            self._log.error("API keys not read again; the earlier ones stay", reason=str(error))

    def _read(self) -> dict[bytes, str]:
        if self._file is None:
            return {}
        try:
            return parse_keys(self._file.read_text(), f"API_KEYS_FILE {self._file}")
        except (OSError, UnicodeDecodeError) as error:
            raise ApiKeysError(f"API_KEYS_FILE {self._file} cannot be read: {type(error).__name__}") from error

    def _file_version(self) -> tuple[int, int, int] | None:
        """Changes with an edit, and with a replaced file or symbolic link (how Kubernetes updates a Secret)."""
        try:
            stat = self._file.stat() if self._file else None
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_ino, stat.st_size) if stat else None
