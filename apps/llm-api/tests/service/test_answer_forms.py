"""response_format and structured_outputs: what the engine is asked to hold, and what is refused before it."""

import asyncio
import json
import re
import time
from typing import Any

import llguidance
import psutil
import pytest
from service.calls import answer_to, chat, completion
from service.conftest import Scripted, Serve

from llm_api.grammar.checker import PROCESSES
from llm_api.protocol.errors import ApiError, InvalidRequest, Unavailable

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
HOURS_TO_COMPILE = {"allOf": [{"type": "string", "pattern": f"a.{{{i}}}b"} for i in range(1, 40)]}
DEEP = json.loads('{"type": "array", "items": ' * 70 + "{}" + "}" * 70)


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def allows(grammar: str, text: str) -> bool:
    """Whether `text` is a whole text of the grammar, with a token for each byte."""
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher.consume_tokens(list(text.encode())) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("fields", "held", "not_held"),
    [
        ({"response_format": {"type": "json_object"}}, '{"a": [1]}', "[1]"),
        ({"response_format": schema_format(CITY)}, '{\n  "city": "Paris"\n}', '{"town": "Paris"}'),
        ({"response_format": schema_format({"type": "integer", "uniqueItems": False, "format": "int64"})}, "12", "1.5"),
        ({"structured_outputs": {"json": CITY}}, '{"city":"Paris"}', '{"city":1}'),
        ({"structured_outputs": {"json": json.dumps(CITY), "disable_any_whitespace": True}}, '{"city":"Paris"}', '{"city": "Paris"}'),
        ({"structured_outputs": {"json_object": True}}, "{}", "1"),
        ({"structured_outputs": {"regex": r"^\d+/\d+$"}}, "1/22", "1/22/3"),
        ({"structured_outputs": {"regex": r"price: \$"}}, "price: $", "price: "),
        ({"structured_outputs": {"choice": ["yes", 'no "way"\n']}}, 'no "way"\n', "maybe"),
        ({"structured_outputs": {"grammar": 'start: "a" x\nx: /[0-9]+/'}}, "a12", "a"),
        ({"structured_outputs": {"grammar": 'root ::= "a" digit*\ndigit ::= [0-9]'}}, "a12", "b"),
    ],
)
@pytest.mark.parametrize("request_of", [chat, completion])
async def test_the_engine_gets_a_grammar_of_the_form(
    serve: Serve, scripted: Scripted, request_of: Any, fields: dict[str, Any], held: str, not_held: str
) -> None:
    if request_of is completion and "response_format" in fields:
        pytest.skip("text completions have no response_format")
    engine = scripted("ok")
    service = serve(engine)
    await answer_to(service, request_of("x", **fields)).infer()
    await service.stop()
    grammar = engine.requests[0][1].grammar
    assert grammar is not None
    assert allows(grammar, held)
    assert not allows(grammar, not_held)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        (
            {"response_format": schema_format({"type": "object", "properties": {"not": {"not": {"type": "string"}}}})},
            "response_format.json_schema.schema.properties.not.not", 'cannot be held: Unimplemented keys: ["not"]',
        ),
        (
            {"response_format": schema_format({"properties": {"a": {"items": [{"pattern": r"\bx"}]}}})},
            "response_format.json_schema.schema", "lookarounds not supported",
        ),
        (
            {"response_format": schema_format({"x-guidance": {"lenient": True}})},
            "response_format.json_schema.schema.x-guidance", "leave it out",
        ),
        (
            {"response_format": schema_format({"properties": {"at": {"format": "json-pointer"}}})},
            "response_format.json_schema.schema.properties.at.format", "json-pointer",
        ),
        (
            {"response_format": schema_format({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/%24defs/a"}]}}})},
            "response_format.json_schema.schema", "has a reference that leads to itself, '#/%24defs/a'",
        ),
        ({"response_format": schema_format(DEEP)}, "response_format.json_schema.schema", "more than 64 levels deep"),
        ({"response_format": schema_format(HOURS_TO_COMPILE)}, "response_format.json_schema.schema", "takes more than 1 s to compile"),
        (
            {"response_format": schema_format({"enum": ["x" * 1000] * 2000})},
            "response_format.json_schema.schema", "larger than 1048576 bytes",
        ),
        ({"structured_outputs": {"json": "{"}}, "structured_outputs.json", "is not JSON"),
        ({"structured_outputs": {"json": "1"}}, "structured_outputs.json", "must be an object"),
        ({"structured_outputs": {"json": "false"}}, "structured_outputs.json", "allows no value"),
        ({"structured_outputs": {"regex": r"(a)\1"}}, "structured_outputs.regex", "cannot be held"),
        ({"structured_outputs": {"grammar": "nonsense ["}}, "structured_outputs.grammar", "cannot be read"),
    ],
)  # fmt: skip
async def test_a_form_that_cannot_be_held_is_refused_with_its_place(
    serve: Serve, scripted: Scripted, fields: dict[str, Any], param: str, message: str
) -> None:
    engine = scripted("ok")
    service = serve(engine)
    with pytest.raises(ApiError, match=re.escape(message)) as error:
        await service.chat(chat("x", **fields)).infer()
    assert (error.value.param or "").startswith(param)
    assert error.value.status == 400
    assert not engine.requests
    await service.chat(chat("x", response_format=schema_format(CITY))).infer()  # the next request is served
    await service.stop()


async def test_other_requests_are_planned_while_a_form_is_checked(serve: Serve, scripted: Scripted) -> None:

    service = serve(scripted("ok", "ok"))
    slow = asyncio.create_task(service.chat(chat("x", response_format=schema_format(HOURS_TO_COMPILE))).infer())
    await asyncio.sleep(0)
    started = time.monotonic()
    await service.chat(chat("x")).infer()
    assert not slow.done(), f"{time.monotonic() - started:.1f} s"
    with pytest.raises(ApiError):
        await slow
    await service.stop()


async def test_slow_grammars_do_not_wait_for_each_other(serve: Serve, scripted: Scripted) -> None:
    """Each takes a second of CPU time. A good one is held while they are checked."""
    service = serve(scripted("ok"))
    await service.chat(chat("x", response_format=schema_format(CITY))).infer()
    slow = [HOURS_TO_COMPILE | {"title": str(number)} for number in range(PROCESSES - 1)]
    checks = [asyncio.create_task(service.chat(chat("x", response_format=schema_format(schema))).infer()) for schema in slow]
    await asyncio.sleep(0.1)
    await service.chat(chat("x", response_format=schema_format({"type": "integer"}))).infer()
    assert not any(check.done() for check in checks)
    assert [str(error) for error in await asyncio.gather(*checks, return_exceptions=True)] == [
        "'response_format.json_schema.schema' takes more than 1 s to compile; simplify it"
    ] * len(slow)
    await service.stop()


async def test_a_form_that_was_not_checked_is_not_remembered_as_refused(serve: Serve, scripted: Scripted) -> None:
    """Its process was killed, as by a machine without memory: that is not the schema's fault."""
    service = serve(scripted("ok"))
    check = asyncio.create_task(service.chat(chat("x", response_format=schema_format(HOURS_TO_COMPILE))).infer())
    checking = await a_checking_process()
    checking.kill()
    with pytest.raises(Unavailable, match="its process ended with status -9; try again"):
        await check
    with pytest.raises(InvalidRequest, match="takes more than 1 s"):
        await service.chat(chat("x", response_format=schema_format(HOURS_TO_COMPILE))).infer()
    await service.stop()


async def a_checking_process() -> psutil.Process:
    """Once it has read its second grammar: the first is the one that it starts with."""
    while True:
        for child in psutil.Process().children():
            if "llm_api.grammar.checking_process" in child.cmdline() and child.cpu_times().user > 0.3:
                return child
        await asyncio.sleep(0.05)
