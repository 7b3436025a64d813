"""`make up` and compose fill the same nginx template, and the docs name its settings."""

import json
import re
from pathlib import Path

import yaml

from proxy.certificates import Certificate
from proxy.nginx import TEMPLATE, render, variables
from proxy.settings import ProxySettings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "proxy" / "compose.yaml").read_text(encoding="utf-8"))
CERTIFICATE = Certificate(Path("/tls/server.pem"), Path("/tls/server.key"), None)
VALUES = variables(ProxySettings(), CERTIFICATE, (1, 22, 1))


def test_make_up_and_compose_set_every_variable_of_the_template() -> None:
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)\}", TEMPLATE.read_text(encoding="utf-8")))
    nginx = COMPOSE["services"]["nginx"]["environment"]
    filtered = set(nginx["NGINX_ENVSUBST_FILTER"].removeprefix("^(").removesuffix(")$$").split("|"))
    given = {name for name in nginx if not name.startswith("NGINX_")}
    assert asked - {"UPPER_CASE"} == set(VALUES) == filtered == given


def test_http_2_is_enabled_in_the_syntax_of_each_version() -> None:
    assert "listen 127.0.0.1:8443 ssl http2;" in render(VALUES)
    assert "listen 127.0.0.1:8443 ssl; http2 on;" in render(variables(ProxySettings(), CERTIFICATE, (1, 30, 4)))


def test_every_error_of_nginx_is_json_within_one_pair_of_quotes() -> None:
    texts = re.findall(r"'(\{\"error.*)';$", TEMPLATE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(texts) > 10
    assert [text for text in texts if "'" in text] == []
    assert all(json.loads(text)["error"]["message"] for text in texts)


def test_every_replica_is_in_both_upstreams() -> None:
    values = variables(ProxySettings(replicas=2, replica_port=9000), CERTIFICATE, (1, 22, 1))
    assert re.findall(r"server (\S+)", values["REPLICAS"]) == ["127.0.0.1:9000", "127.0.0.1:9002"]
    assert re.findall(r"server (\S+)", values["PROBES"]) == ["127.0.0.1:9001", "127.0.0.1:9003"]


def test_the_page_names_every_setting() -> None:
    page = (ROOT / "docs" / "proxy.md").read_text(encoding="utf-8")
    assert [name for name in ProxySettings.model_fields if f"`{name.upper()}`" not in page] == []
