"""Detects the model of a server and the optional request fields that it accepts, before the measurement."""

import json
from dataclasses import dataclass, replace
from typing import Any

from llm_api.bench.exchange import BenchError, Exchange, Target, exchange
from llm_api.bench.prompts import Message, Prompts
from llm_api.bench.sample import read_sample

OPTIONAL_FIELDS: dict[str, Any] = {"ignore_eos": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True, slots=True)
class Server:
    """A target that answered the probe."""

    target: Target
    software: str  # its Server header
    options: dict[str, Any]  # the optional fields that it accepts

    @property
    def name(self) -> str:
        return self.target.name

    def body(self, messages: list[Message], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self.target.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            **self.options,
        }


async def probe(target: Target, prompts: Prompts) -> Server:
    """Raises BenchError when the server does not stream chat completions."""
    listed = await exchange(target, "GET", "/v1/models", seconds=30)
    if listed.status == 0:
        raise BenchError(f"{target.name} does not answer at {target.url}: {listed.failure}")
    target = replace(target, model=target.model or _first_model(listed) or target.name)
    refusals: list[str] = []
    for dropped in ([], ["ignore_eos"], ["stream_options"], list(OPTIONAL_FIELDS)):
        server = Server(target, listed.server, {name: value for name, value in OPTIONAL_FIELDS.items() if name not in dropped})
        sample = read_sample(await exchange(target, "POST", "/v1/chat/completions", server.body(prompts.next(), 4)))
        if sample.failure is None:
            return server
        refusals.append(sample.failure)
    raise BenchError(f"{target.name} does not stream chat completions: {refusals[-1]}")


def _first_model(listed: Exchange) -> str | None:
    try:
        return str(json.loads(listed.body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        return None
