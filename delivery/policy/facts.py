"""Facts from other parts of the repository, with which the checks compare an overlay."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from delivery.policy.cluster_syncs import Sync, cluster_syncs


@dataclass(frozen=True)
class Reading:
    """How the service reads its environment variables."""

    values: dict[str, Any]
    """Parsed values by variable; the default if the variable is unset or rejected."""
    refused: dict[str, str]
    """The reason by variable, for a value that the service rejects or that stops it from starting."""


@dataclass(frozen=True)
class Facts:
    settings: dict[str, Any]
    """Environment variables that the service accepts, with their defaults."""
    read: Callable[[Mapping[str, str]], Reading]
    """Reads environment variables as the service does."""
    metrics: frozenset[str]
    """Sample names that the service emits."""
    commands: dict[str, frozenset[str]]
    """The flags of each llm-api command."""
    selectors: dict[str, dict[str, str]]
    """The selectors that run in clusters, by kind/name: selectors.yaml."""
    label_values: dict[str, frozenset[str]] = field(default_factory=dict)
    """Every value that the service sets, by metric label."""
    syncs: dict[str, tuple[Sync, ...]] = field(default_factory=dict)
    """The sync objects of clusters/, by overlay."""
    ingress_controller: dict[str, Any] = field(default_factory=dict)
    """The Helm values of ingress-nginx."""


def read_facts(root: Path, kustomize: Path) -> Facts:
    """Reads them from the service's code and from the tree at `root`. Raises RenderError."""
    # Needs the service's own dependencies, which a pipeline job does not install.
    from delivery.policy import service_contract

    return Facts(
        settings=service_contract.accepted_settings(),
        read=service_contract.read_settings,
        commands=service_contract.accepted_commands(),
        metrics=frozenset(service_contract.emitted_metrics()),
        selectors=yaml.safe_load((root / "delivery/policy/selectors.yaml").read_text(encoding="utf-8")),
        label_values={"reason": frozenset(service_contract.rejection_reasons())},
        syncs=cluster_syncs(root, kustomize),
        ingress_controller=_values(root / "platform/ingress-nginx/values.yaml"),
    )


def _values(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
