"""Our image as overlays/*/kustomization.yaml pins it: registry, tag and digest. The tag names the commit that it was built from."""

import re
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from delivery.errors import DeliveryError

NAME = "llm-api"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"sha-([0-9a-f]{40})")
_PLACEHOLDER_COMMENT = re.compile(r"^[ \t]*#[^\n]*\bPlaceholder:[^\n]*\n(?:[ \t]*#[^\n]*\n)*", re.MULTILINE)


class PinError(DeliveryError):
    """Which file or value is invalid."""


@dataclass(frozen=True)
class ImagePin:
    registry: str
    tag: str
    digest: str | None

    @property
    def commit(self) -> str | None:
        """The commit that the image was built from; None if no bump has written this pin."""
        found = _TAG.fullmatch(self.tag)
        return found[1] if found else None

    @property
    def placeholder(self) -> bool:
        """Whether no image was promoted to this overlay yet. Promote and release refuse a placeholder."""
        return not _is_digest(self.digest or "")

    @classmethod
    def of_commit(cls, registry: str, commit: str, digest: str) -> "ImagePin":
        if not _is_digest(digest):
            raise PinError(f"{digest!r} is not an image digest: expected sha256: and 64 hexadecimal digits, not all of them zero")
        return cls(registry, f"sha-{commit}", digest)


def _is_digest(digest: str) -> bool:
    return bool(_DIGEST.fullmatch(digest)) and set(digest.partition(":")[2]) != {"0"}


def read_pin(kustomization: str, file: str) -> ImagePin:
    """`kustomization`: the text of `file`. Raises PinError."""
    entry = _entry(_yaml().load(kustomization), file)
    return ImagePin(str(entry.get("newName", NAME)), str(entry.get("newTag", "")), entry.get("digest"))


def write_pin(kustomization: str, file: str, pin: ImagePin) -> str:
    """Replaces the image's registry, tag and digest. Keeps comments, order and line endings.

    Removes the comment that explains the placeholder once the pin is no placeholder.
    """
    lines = kustomization.replace("\r\n", "\n")
    yaml, text = _yaml(), StringIO()
    document = yaml.load(lines if pin.placeholder else _PLACEHOLDER_COMMENT.sub("", lines))
    entry = _entry(document, file)
    for key, value in (("newName", pin.registry), ("newTag", pin.tag), ("digest", pin.digest)):
        entry[key] = value
    yaml.dump(document, text)
    return text.getvalue().replace("\n", "\r\n") if "\r\n" in kustomization else text.getvalue()


def _entry(document: Any, file: str) -> Any:
    images = document.get("images", []) if isinstance(document, dict) else []
    found = [entry for entry in images if entry.get("name") == NAME]
    if len(found) != 1:
        raise PinError(f"{file} must have exactly one entry named {NAME!r} under images:, but has {len(found)}")
    return found[0]


def _yaml() -> YAML:
    yaml = YAML()  # round trip
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1000
    yaml.preserve_quotes = True
    return yaml
