"""Scenario 8 of docs/proxy.md: when a client disconnects from nginx, the replica stops generating for it."""

import asyncio
import subprocess
from json import dumps

from reverse_proxy.machine import Machine

CHAT = "/v1/chat/completions"
GONE_SECONDS = 20  # until the replica notices; the whole generation would take far longer


def endless(*, stream: bool) -> dict[str, object]:
    message = {"role": "user", "content": "Count to a million."}
    return {"model": "SmolLM2-135M-Instruct", "messages": [message], "max_tokens": 4000, "stream": stream, "ignore_eos": True}


async def test_a_stream_that_is_closed_stops_its_generation(machine: Machine) -> None:
    async with machine.async_client() as client, client.stream("POST", CHAT, json=endless(stream=True)) as response:
        async for _line in response.aiter_lines():
            break
        assert machine.running_requests() == 1
    machine.until(lambda: machine.running_requests() == 0, GONE_SECONDS)


async def test_a_cancelled_request_stops_its_generation(machine: Machine) -> None:
    async with machine.async_client() as client:
        request = asyncio.create_task(client.post(CHAT, json=endless(stream=False)))
        while machine.running_requests() == 0:
            await asyncio.sleep(0.1)
        request.cancel()
    machine.until(lambda: machine.running_requests() == 0, GONE_SECONDS)


def test_a_stream_over_http_2_that_is_closed_stops_its_generation(machine: Machine) -> None:
    headers = ["--header", f"authorization: Bearer {machine.key}", "--header", "content-type: application/json"]
    command = ["curl", "--silent", "--no-buffer", "--http2", "--cacert", str(machine.ca), *headers, "--data", dumps(endless(stream=True))]
    with subprocess.Popen([*command, machine.url + CHAT], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline().startswith(b"data: ")
        assert machine.running_requests() == 1
        curl.terminate()
    machine.until(lambda: machine.running_requests() == 0, GONE_SECONDS)
