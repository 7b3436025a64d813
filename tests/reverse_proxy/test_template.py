"""`make up` renders the template as the official nginx image does."""

import os
import subprocess
from pathlib import Path

import pytest

from proxy.certificates import Certificate
from proxy.nginx import TEMPLATE, render, variables
from proxy.settings import ProxySettings


@pytest.mark.parametrize("version", [(1, 22, 1), (1, 30, 4)])
def test_envsubst_renders_the_same(version: tuple[int, ...]) -> None:
    values = variables(ProxySettings(), Certificate(Path("/tls/server.pem"), Path("/tls/server.key"), None), version)
    names = " ".join(f"${{{name}}}" for name in values)
    text = TEMPLATE.read_text(encoding="utf-8")
    done = subprocess.run(["envsubst", names], input=text, env={**os.environ, **values}, capture_output=True, text=True, check=True)
    assert render(values) == done.stdout
