"""cosign with a key pair of the test: keyless signing needs services of GitHub and Sigstore."""

import os
import shlex
import subprocess
from pathlib import Path

from delivery.go_tools import built

KEYS = ("cosign.key", "cosign.pub")
# No entry in Sigstore's public log; the test's registry has no certificate.
OFFLINE = ("--allow-http-registry", "--allow-insecure-registry")


class Signer:
    def __init__(self, folder: Path) -> None:
        self._cosign, self._folder = str(built("signing") / "cosign"), folder
        self._run("generate-key-pair")

    def sign(self, image: str) -> None:
        self._run("sign", "--yes", "--key", KEYS[0], "--use-signing-config=false", "--tlog-upload=false", *OFFLINE, image)

    @property
    def verify(self) -> str:
        """The command that verifies an image; the image's name follows it."""
        key = str(self._folder / KEYS[1])
        return shlex.join([self._cosign, "verify", "--key", key, "--insecure-ignore-tlog", *OFFLINE])

    def _run(self, *arguments: str) -> None:
        environment = os.environ | {"COSIGN_PASSWORD": ""}
        done = subprocess.run([self._cosign, *arguments], cwd=self._folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
