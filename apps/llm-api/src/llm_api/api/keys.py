"""API keys: names, SHA-256 digests and modes, from a setting or from a file that is reloaded when it changes."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import structlog

from llm_api.settings import RequestFields

ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9a-fA-F]{64})(?::(strict|warn|ignore))?")
RETRY = 30.0  # seconds after which a file that could not be loaded is tried, and logged, again


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`request_fields`: REQUEST_FIELDS for requests with this key; None: as the setting says."""

    name: str
    request_fields: RequestFields | None = None


class ApiKeysError(ValueError):
    """One line that names the malformed entry or the unreadable file, without its content."""


def new_key(name: str) -> tuple[str, str]:
    """Returns a new key and its `name:sha256` entry. The key itself is not stored."""
    key = "sk-" + secrets.token_urlsafe(32)
    return key, f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def parse_keys(text: str, source: str) -> dict[bytes, ApiKey]:
    """Returns keys by digest. Entries are separated by newlines or commas; `#` starts a comment line. Raises ApiKeysError."""
    keys: dict[bytes, ApiKey] = {}
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = (entry.strip() for line in lines for entry in line.split(","))
    for position, entry in enumerate(filter(None, entries), 1):
        if not (match := ENTRY.fullmatch(entry)):
            form = "`name:sha256`, or `name:sha256:MODE` with strict, warn or ignore"
            raise ApiKeysError(f"{source}: entry {position} is not {form}; `llm-api keys new NAME` creates one")
        keys[bytes.fromhex(match[2])] = ApiKey(match[1], cast("RequestFields | None", match[3]))
    return keys


class ApiKeys:
    """Reloads the file when it changes.

    If the file cannot be read, or has a malformed entry, the earlier keys stay valid, because the file may be about to be
    replaced. This is logged as an error, repeatedly, and reported by `file_is_good`. A file without keys revokes all of them.
    """

    def __init__(self, inline: str | None, file: Path | None) -> None:
        """Raises ApiKeysError for a malformed or unreadable source, and for sources without any key."""
        self._file = file
        self._inline = parse_keys(inline or "", "API_KEYS")
        self._version = self._file_version()
        self._keys = self._inline | self._read()
        self._file_is_good = True
        self._retry_at = 0.0
        self._log = structlog.stdlib.get_logger("llm_api.keys")
        if (inline or file) and not self._keys:
            raise ApiKeysError("API_KEYS and API_KEYS_FILE contain no key; `llm-api keys new NAME` creates one")

    @property
    def required(self) -> bool:
        """False when no source of keys is configured: then requests need no key."""
        return bool(self._inline) or self._file is not None

    @property
    def count(self) -> int:
        self._refresh()
        return len(self._keys)

    @property
    def file_is_good(self) -> bool:
        """Whether the current content of the file is loaded."""
        self._refresh()
        return self._file_is_good

    def find(self, key: str) -> ApiKey | None:
        """Returns None for an unknown key. Compares with every key in constant time, so that the timing reveals nothing."""
        self._refresh()
        digest, found = hashlib.sha256(key.encode(errors="surrogateescape")).digest(), None
        for known, entry in self._keys.items():
            if secrets.compare_digest(known, digest):
                found = entry
        return found

    def _refresh(self) -> None:
        version = self._file_version()
        if version == self._version and (self._file_is_good or time.monotonic() < self._retry_at):
            return
        self._version, self._retry_at = version, time.monotonic() + RETRY
        try:
            self._keys = self._inline | self._read()
            self._file_is_good = True
        except ApiKeysError as error:
            self._file_is_good = False
            self._log.error("API keys not reloaded: the earlier keys stay valid", reason=str(error), keys=len(self._keys))
            return
        log = self._log.info if self._keys else self._log.error
        log("API keys reloaded" if self._keys else "no API keys left: every request is refused", keys=len(self._keys))

    def _read(self) -> dict[bytes, ApiKey]:
        if self._file is None:
            return {}
        try:
            return parse_keys(self._file.read_text(), f"API_KEYS_FILE {self._file}")
        except (OSError, UnicodeDecodeError) as error:
            raise ApiKeysError(f"API_KEYS_FILE {self._file} cannot be read: {type(error).__name__}") from error

    def _file_version(self) -> tuple[int, int, int] | None:
        """Changes when the file is edited or replaced, also through a symbolic link (how Kubernetes updates a Secret)."""
        try:
            stat = self._file.stat() if self._file else None
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_ino, stat.st_size) if stat else None
