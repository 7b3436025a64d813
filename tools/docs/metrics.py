"""The table of metrics, from the collectors that `llm_api.telemetry.metrics.Metrics` creates."""

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from llm_api.markdown import table
from llm_api.telemetry.metrics import Metrics


def metrics_table() -> str:
    rows = [(f"`{_name(metric)}`", str(metric._type), _labels(metric), metric._documentation) for metric in _collectors()]
    return table(("Name", "Type", "Labels", "Meaning"), rows)


def _collectors() -> list[MetricWrapperBase]:
    """In the order of registration. The process and Python collectors of prometheus_client are no wrappers, so not listed."""
    metrics = Metrics()
    metrics.watch_keys(int, bool)  # registered only when API keys are configured
    registered = dict.fromkeys(metrics.registry._collector_to_names)
    return [collector for collector in registered if isinstance(collector, MetricWrapperBase)]


def _name(metric: MetricWrapperBase) -> str:
    return f"{metric._name}_total" if isinstance(metric, Counter) else metric._name


def _labels(metric: MetricWrapperBase) -> str:
    return ", ".join(f"`{label}`" for label in metric._labelnames)
