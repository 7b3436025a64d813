"""API keys: names and SHA-256 digests, from a setting or from a file that is read again when it changes."""

import hashlib
import re
import secrets
import time
from pathlib import Path

import structlog

ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]{64})")

RETRY = 30.0  # seconds after which a file that could not be read is tried, and complained of, again


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
    """A file that cannot be read, or holds what is no key, leaves the earlier keys in force: it may be on its way to being
    replaced. It is an error in the log, again and again, and in `file_is_good`. A file without keys revokes them all."""

    def __init__(self, inline: str | None, file: Path | None) -> None:
        """Raises ApiKeysError when there is a source but no key in it."""
        self._file = file
        self._inline = parse_keys(inline or "", "API_KEYS")
        self._version = self._file_version()
        self._names = self._inline | self._read()
        self._file_is_good = True
        self._retry_at = 0.0
        self._log = structlog.stdlib.get_logger("llm_api.keys")
        if (inline or file) and not self._names:
            raise ApiKeysError("API_KEYS and API_KEYS_FILE hold no key; `llm-api keys new NAME` makes one")

    @property
    def required(self) -> bool:
        """False when no source of keys is configured: anyone may call."""
        return bool(self._inline) or self._file is not None

    @property
    def count(self) -> int:
        self._refresh()
        return len(self._names)

    @property
    def file_is_good(self) -> bool:
        """Whether the keys are those that the file has now."""
        self._refresh()
        return self._file_is_good

    def name_of(self, key: str) -> str | None:
        """Whose key it is. Compares with every key, each in constant time, so that time tells nothing."""
        self._refresh()
        digest, found = hashlib.sha256(key.encode(errors="surrogateescape")).digest(), None
        for known, name in self._names.items():
            if secrets.compare_digest(known, digest):
                found = name
        return found

    def _refresh(self) -> None:
        version = self._file_version()
        if version == self._version and (self._file_is_good or time.monotonic() < self._retry_at):
            return
        self._version, self._retry_at = version, time.monotonic() + RETRY
        try:
            self._names = self._inline | self._read()
            self._file_is_good = True
        except ApiKeysError as error:
            self._file_is_good = False
            self._log.error("API keys not read again; the earlier ones stay, revoked ones too", reason=str(error), keys=len(self._names))
            return
        log = self._log.info if self._names else self._log.error
        log("API keys read again" if self._names else "no API key any more: nobody is let in", keys=len(self._names))

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
