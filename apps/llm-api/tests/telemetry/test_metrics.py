from llm_api.engine.messages import EngineStats
from llm_api.telemetry.metrics import Metrics


def stats(**values: float) -> EngineStats:
    known = {"steps": 1, "running": 2, "waiting": 3, "kv_cache_usage": 0.5, "preemptions": 0, "step_seconds": 0.01}
    return EngineStats(**(known | {"prefix_cache_queries": 0, "prefix_cache_hits": 0, "step_tokens": 7} | values))  # type: ignore[arg-type]


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_a_step_sets_gauges_and_advances_the_engines_counters() -> None:
    metrics = Metrics()
    metrics.step(stats(preemptions=2, prefix_cache_queries=100))
    metrics.step(stats(preemptions=2, prefix_cache_queries=150, prefix_cache_hits=32, running=1))
    assert {
        "llm_num_requests_running 1.0",
        "llm_num_requests_waiting 3.0",
        "llm_kv_cache_usage_perc 0.5",
        "llm_num_preemptions_total 2.0",
        "llm_prefix_cache_queries_total 150.0",
        "llm_prefix_cache_hits_total 32.0",
        "llm_iteration_tokens_total_sum 14.0",
    } <= set(lines(metrics))


def test_a_finished_request_is_counted_by_its_reason() -> None:
    metrics = Metrics()
    metrics.first_token(0.3)
    metrics.inter_token(0.02)
    metrics.request_finished("stop", 1.5, prompt_tokens=10, generation_tokens=20)
    metrics.request_finished("abort", 0.5, prompt_tokens=5, generation_tokens=0)
    assert {
        'llm_request_success_total{finished_reason="stop"} 1.0',
        'llm_request_success_total{finished_reason="abort"} 1.0',
        "llm_prompt_tokens_total 15.0",
        "llm_generation_tokens_total 20.0",
        "llm_e2e_request_latency_seconds_sum 2.0",
        'llm_time_to_first_token_seconds_bucket{le="0.25"} 0.0',
        'llm_time_to_first_token_seconds_bucket{le="0.5"} 1.0',
        'llm_inter_token_latency_seconds_bucket{le="0.025"} 1.0',
    } <= set(lines(metrics))


def test_two_instances_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.rejected("queue_full")
    assert 'llm_admission_rejections_total{reason="queue_full"} 1.0' in lines(one)
    assert not any(line.startswith("llm_admission_rejections_total{") for line in lines(other))


def test_the_process_itself_is_measured() -> None:
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines(Metrics()))
