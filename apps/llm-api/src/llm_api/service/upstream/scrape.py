"""The engine's Prometheus metrics, as far as the front passes them on."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


def scraped(text: str, names: tuple[str, ...]) -> dict[str, float]:
    """Samples of these names, summed over their labels. Empty for what is not Prometheus' text format."""
    values: dict[str, float] = {}
    lines = "\n".join(line for line in text.splitlines() if line.startswith(names)) + "\n"
    try:
        for family in text_string_to_metric_families(lines):
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0) + sample.value
    except ValueError:
        return {}
    return values


@dataclass(frozen=True, slots=True)
class EngineGauges:
    """A `StepStats` (llm_api.telemetry.metrics): `names` are those of the engine's metrics."""

    names: Mapping[str, str]
    values: Mapping[str, float]

    def _value(self, name: str) -> float:
        return self.values.get(self.names.get(name, ""), 0)

    @property
    def running(self) -> int:
        return int(self._value("running"))

    @property
    def waiting(self) -> int:
        return int(self._value("waiting"))

    @property
    def kv_cache_usage(self) -> float:
        return self._value("kv_cache_usage")

    @property
    def preemptions(self) -> int:
        return int(self._value("preemptions"))

    @property
    def prefix_cache_queries(self) -> int:
        return int(self._value("prefix_cache_queries"))

    @property
    def prefix_cache_hits(self) -> int:
        return int(self._value("prefix_cache_hits"))

    @property
    def step_tokens(self) -> int:
        return 0
