"""A client that disconnects, streaming or not, stops its generation."""

import asyncio

import httpx2
from openai.types.chat import ChatCompletionUserMessageParam
from serving.service_process import ServiceProcess

ENDLESS: ChatCompletionUserMessageParam = {"role": "user", "content": "Count to a million."}


async def test_a_stream_that_is_closed_stops_its_generation(server: ServiceProcess) -> None:
    client = server.async_client()
    stream = await client.chat.completions.create(
        model="smol", messages=[ENDLESS], max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
    )
    async for _chunk in stream:
        break
    assert server.metric("llm_num_requests_running") == 1
    await stream.close()
    server.wait_idle(5)


async def test_a_cancelled_plain_request_stops_its_generation(server: ServiceProcess) -> None:
    body = {"model": "smol", "messages": [ENDLESS], "max_tokens": 4000, "ignore_eos": True}
    async with httpx2.AsyncClient(timeout=60) as client:
        request = asyncio.create_task(client.post(f"{server.url}/v1/chat/completions", json=body))
        while not server.metric("llm_num_requests_running"):
            await asyncio.sleep(0.05)
        request.cancel()
    server.wait_idle(5)
