"""Who must have signed an image: the workflow that built it, on main, and nobody else."""

import os
import shlex
import subprocess

from delivery.image_pin import ImagePin
from delivery.promote.refused import Refused

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = ".github/workflows/image.yml"


def keyless_identity(repository: str, branch: str = "main") -> str:
    """The subject of the certificate that GitHub's OIDC token gets from Fulcio (docs.sigstore.dev, OIDC in Fulcio)."""
    return f"https://github.com/{repository}/{WORKFLOW}@refs/heads/{branch}"


def keyless(repository: str, branch: str = "main") -> str:
    """The command that verifies an image, to be followed by its name."""
    identity = keyless_identity(repository, branch)
    return shlex.join(["cosign", "verify", "--certificate-identity", identity, "--certificate-oidc-issuer", ISSUER])


def keyless_here(branch: str = "main") -> str:
    """The same, of the repository that GITHUB_REPOSITORY names, as in GitHub Actions. Raises Refused."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if not repository:
        raise Refused("GITHUB_REPOSITORY must be set, as OWNER/NAME: its workflow must have signed the image (or --verify COMMAND)")
    return keyless(repository, branch)


def require_signature(pin: ImagePin, command: str) -> None:
    """Raises Refused unless `command IMAGE@DIGEST` says that it is signed."""
    image = f"{pin.registry}@{pin.digest}"
    words = shlex.split(command)
    try:
        done = subprocess.run([*words, image], capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Refused(f"{words[0]} is not installed here, and an image is promoted only when its signature was verified") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Refused(f"{image} is not signed as it must be: {reason}")
