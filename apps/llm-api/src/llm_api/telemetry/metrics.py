"""Prometheus metrics: vLLM's names with the prefix `llm_` and vLLM's buckets, so that its dashboards and scalers can be reused."""

import re
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

from llm_api.telemetry.context import current_request

INDEX = re.compile(r"\[\d+\]")
FIRST_TOKEN = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
)  # fmt: skip
INTER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
END_TO_END = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class StepStats(Protocol):
    """Gauges at the end of an engine step, and counters since the engine started."""

    @property
    def running(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def kv_cache_usage(self) -> float: ...
    @property
    def preemptions(self) -> int: ...
    @property
    def prefix_cache_queries(self) -> int: ...
    @property
    def prefix_cache_hits(self) -> int: ...
    @property
    def step_tokens(self) -> int: ...


class Metrics:
    """One instance per process, with its own registry. As thread-safe as prometheus_client."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series, and no dashboard reads them
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._engine_metrics()
        self._request_metrics()
        self._http_metrics()

    def _engine_metrics(self) -> None:
        registry = self.registry
        self.ready = Gauge("llm_ready", "1 while the server takes requests for the model, as /readyz reports; else 0.", registry=registry)
        self.running = Gauge("llm_num_requests_running", "Sequences in the engine's current batch.", registry=registry)
        self.waiting = Gauge("llm_num_requests_waiting", "Sequences waiting for a place in the batch.", registry=registry)
        self.kv_cache_usage = Gauge("llm_kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1.", registry=registry)
        self.preemptions = Counter("llm_num_preemptions", "Sequences preempted because the KV cache was full.", registry=registry)
        self.prefix_queries = Counter("llm_prefix_cache_queries", "Prompt tokens looked up in the prefix cache.", registry=registry)
        self.prefix_hits = Counter("llm_prefix_cache_hits", "Prompt tokens found in the prefix cache.", registry=registry)
        self.step_tokens = Histogram("llm_iteration_tokens_total", "Tokens computed in a step.", buckets=STEP_TOKENS, registry=registry)
        self._totals = {self.preemptions: 0, self.prefix_queries: 0, self.prefix_hits: 0}

    def _request_metrics(self) -> None:
        registry = self.registry
        self.ttft = Histogram("llm_time_to_first_token_seconds", "From arrival to the first token.", buckets=FIRST_TOKEN, registry=registry)
        self.itl = Histogram("llm_inter_token_latency_seconds", "Between a sequence's tokens.", buckets=INTER_TOKEN, registry=registry)
        self.e2e = Histogram("llm_e2e_request_latency_seconds", "From arrival to the end.", buckets=END_TO_END, registry=registry)
        self.prompt_tokens = Counter("llm_prompt_tokens", "Prompt tokens of finished requests.", registry=registry)
        self.generation_tokens = Counter("llm_generation_tokens", "Tokens generated for finished requests.", registry=registry)
        self.request_prompt_tokens = Histogram(
            "llm_request_prompt_tokens", "Prompt tokens of a request.", buckets=TOKENS, registry=registry
        )
        self.request_generation_tokens = Histogram(
            "llm_request_generation_tokens", "Tokens generated for a request.", buckets=TOKENS, registry=registry
        )
        self.success = Counter("llm_request_success", "Finished requests.", ["finished_reason"], registry=registry)
        self.key_tokens = Counter("llm_key_tokens", "Tokens by API key name.", ["key", "kind"], registry=registry)

    def _http_metrics(self) -> None:
        registry = self.registry
        self.rejections = Counter("llm_admission_rejections", "Requests turned away.", ["reason"], registry=registry)
        self.ignored_fields = Counter("llm_ignored_fields", "Fields that requests were served without.", ["field"], registry=registry)
        self.http_requests = Counter("http_requests", "HTTP requests.", ["method", "handler", "status"], registry=registry)
        self.http_seconds = Histogram(
            "http_request_duration_seconds", "From the request's head to the response's last byte.", ["method", "handler"],
            buckets=FIRST_TOKEN, registry=registry,
        )  # fmt: skip

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """`ready` is called at each scrape."""
        self.ready.set_function(ready)

    def watch_keys(self, count: Callable[[], int], file_is_good: Callable[[], bool]) -> None:
        """Both are called at each scrape, so that the gauges are current without any request."""
        Gauge("llm_api_keys_loaded", "API keys that are accepted.", registry=self.registry).set_function(count)
        Gauge(
            "llm_api_keys_last_reload_success",
            "0 while API_KEYS_FILE cannot be read and earlier keys stay in force.",
            registry=self.registry,
        ).set_function(file_is_good)

    def step(self, stats: StepStats) -> None:
        self.running.set(stats.running)
        self.waiting.set(stats.waiting)
        self.kv_cache_usage.set(stats.kv_cache_usage)
        if stats.step_tokens:  # 0 in a report between steps
            self.step_tokens.observe(stats.step_tokens)
        self._advance(self.preemptions, stats.preemptions)
        self._advance(self.prefix_queries, stats.prefix_cache_queries)
        self._advance(self.prefix_hits, stats.prefix_cache_hits)

    def _advance(self, counter: Counter, total: int) -> None:
        if total > self._totals[counter]:
            counter.inc(total - self._totals[counter])
            self._totals[counter] = total

    def first_token(self, seconds: float) -> None:
        self.ttft.observe(seconds)

    def inter_token(self, seconds: float) -> None:
        self.itl.observe(seconds)

    def request_finished(self, reason: str, seconds: float, prompt_tokens: int, generation_tokens: int) -> None:
        """`reason`: stop, length, error or abort."""
        self.success.labels(reason).inc()
        self.e2e.observe(seconds)
        self.prompt_tokens.inc(prompt_tokens)
        self.generation_tokens.inc(generation_tokens)
        self.request_prompt_tokens.observe(prompt_tokens)
        self.request_generation_tokens.observe(generation_tokens)

    def rejected(self, reason: str) -> None:
        """`reason`: queue_full, unread_bodies, loading, draining or failed."""
        self.rejections.labels(reason).inc()

    def ignored_field(self, name: str, label: str) -> None:
        """Notes a field that the current request is served without. `label` must not be a name that a client invented."""
        current_request().ignored_fields.append(name)
        self.ignored_fields.labels(INDEX.sub("[]", label)).inc()

    def key_used(self, key: str, prompt_tokens: int, completion_tokens: int) -> None:
        self.key_tokens.labels(key, "prompt").inc(prompt_tokens)
        self.key_tokens.labels(key, "completion").inc(completion_tokens)

    def http_request(self, method: str, handler: str, status: int, seconds: float) -> None:
        self.http_requests.labels(method, handler, str(status)).inc()
        self.http_seconds.labels(method, handler).observe(seconds)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
