"""The load generator against a scripted server, over real HTTP."""

import pytest
from bench.scripted_openai_server import ScriptedServer, serving

from llm_api.bench.exchange import BenchError, Target, exchange, parse_target
from llm_api.bench.load import Load, closed_loop, interleaved_rounds
from llm_api.bench.probe import Server, probe
from llm_api.bench.prompts import Prompts


async def test_a_closed_loop_has_one_request_in_flight_per_client_and_sends_each_prompt_once() -> None:
    async with serving(ScriptedServer()) as scripted:
        server = await probe(scripted.target(), Prompts(1))
        scripted.bodies.clear()
        run = await closed_loop(server, Load(concurrency=4, requests_per_client=3, max_tokens=8), Prompts(2), 1)
    assert scripted.most_in_flight == 4
    assert len(run.answered) == len(run.samples) == 12
    assert {sample.completion_tokens for sample in run.samples} == {8}
    assert len({str(body["messages"]) for body in scripted.bodies}) == 12
    assert run.tokens_per_second > 0


async def test_a_probe_takes_the_listed_model_and_every_option() -> None:
    async with serving(ScriptedServer()) as scripted:
        server = await probe(scripted.target(), Prompts(1))
    assert server.target.model == "org/model"
    assert scripted.bodies[0] | {"messages": []} == {
        "model": "org/model",
        "messages": [],
        "max_tokens": 4,
        "temperature": 0,
        "stream": True,
        "ignore_eos": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("refused", [{"ignore_eos"}, {"stream_options"}, {"ignore_eos", "stream_options"}])
async def test_options_that_a_server_refuses_are_left_out(refused: set[str]) -> None:
    async with serving(ScriptedServer(refused_fields=frozenset(refused))) as scripted:
        server = await probe(scripted.target(), Prompts(1))
    assert set(server.options) == {"ignore_eos", "stream_options"} - refused


async def test_the_given_model_is_used_if_a_server_lists_none() -> None:
    async with serving(ScriptedServer(lists_models=False)) as scripted:
        given = parse_target(f"peer=http://127.0.0.1:{scripted.port}#/models/one")
        assert (await probe(given, Prompts(1))).target.model == "/models/one"


async def test_a_server_that_refuses_everything_is_named_with_its_reason() -> None:
    async with serving(ScriptedServer(status=503)) as scripted:
        with pytest.raises(BenchError, match=r"scripted does not stream chat completions: HTTP 503"):
            await probe(scripted.target(), Prompts(1))


async def test_an_unreachable_server_is_named() -> None:
    async with serving(ScriptedServer()) as scripted:
        gone = scripted.target()
    with pytest.raises(BenchError, match="scripted does not answer at http:"):
        await probe(gone, Prompts(1))


async def test_a_server_that_fails_under_load_ends_the_benchmark() -> None:
    async with serving(ScriptedServer()) as scripted:
        server = await probe(scripted.target(), Prompts(1))
        scripted.status = 500
        with pytest.raises(BenchError, match="scripted answered none of 2 requests at concurrency 2: HTTP 500"):
            await interleaved_rounds([server], [Load(2, 1, 4)], 1, Prompts(1), lambda run: None)


async def test_each_round_begins_with_another_server() -> None:
    async with serving(ScriptedServer()) as scripted:
        servers = [Server(scripted.target(name), "", {}) for name in ("a", "b", "c")]
        runs = await interleaved_rounds(servers, [Load(1, 1, 2), Load(2, 1, 2)], 3, Prompts(1), lambda run: None)
    assert [run.server for run in runs] == [*"abcabc", *"bcabca", *"cabcab"]
    assert [run.round for run in runs] == [1] * 6 + [2] * 6 + [3] * 6
    assert [run.concurrency for run in runs] == [1, 1, 1, 2, 2, 2] * 3


async def test_an_api_key_is_sent_only_to_its_server() -> None:
    async with serving(ScriptedServer()) as scripted:
        address = f"x=http://127.0.0.1:{scripted.port}/v1/"
        for key in ("secret", None):
            await exchange(parse_target(address, key), "POST", "/v1/chat/completions", {"max_tokens": 1})
    assert scripted.authorizations == ["Bearer secret", None]


@pytest.mark.parametrize("text", ["http://127.0.0.1:1", "name=", "name=127.0.0.1:80", "name=ftp://host", "=http://host"])
def test_an_invalid_server_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="does not name a server"):
        parse_target(text)


def test_an_address_may_have_a_path_and_a_default_port() -> None:
    assert parse_target("peer=https://example.org/openai/v1#m") == Target("peer", "example.org", 443, True, "/openai", "m")
