"""Verifies that an image was signed by the workflow that built it, on main."""

import os
import shlex
import subprocess

from delivery.errors import Refused
from delivery.overlay_image import ImagePin

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = ".github/workflows/image.yml"


def keyless_identity(repository: str, branch: str = "main") -> str:
    """The subject of the certificate that Fulcio issues for GitHub's OIDC token (docs.sigstore.dev, OIDC in Fulcio)."""
    return f"https://github.com/{repository}/{WORKFLOW}@refs/heads/{branch}"


def keyless(repository: str, branch: str = "main") -> str:
    """The command that verifies an image; append the image's name."""
    identity = keyless_identity(repository, branch)
    return shlex.join(["cosign", "verify", "--certificate-identity", identity, "--certificate-oidc-issuer", ISSUER])


def keyless_here(branch: str = "main") -> str:
    """The same for the repository in GITHUB_REPOSITORY, as in GitHub Actions. Raises Refused."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if not repository:
        raise Refused(
            "GITHUB_REPOSITORY must be set to OWNER/NAME, the repository whose workflow signed the image (or use --verify COMMAND)"
        )
    return keyless(repository, branch)


def require_signature(pin: ImagePin, command: str) -> None:
    """Raises Refused unless `command IMAGE@DIGEST` succeeds."""
    image = f"{pin.registry}@{pin.digest}"
    words = shlex.split(command)
    try:
        done = subprocess.run([*words, image], capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Refused(f"{words[0]} is not installed, but it must verify the image's signature") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Refused(f"{image} is not signed as required: {reason}")
