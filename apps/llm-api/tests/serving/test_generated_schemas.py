"""Each schema is refused, or every answer that ends by itself is valid under it. `make structured-output` tries more of them."""

import asyncio
import json
import os
import random
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from serving.generated_schemas import Schema, any_schemas, client_schemas, generate
from serving.service_process import ServiceProcess, service_process
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

COUNT = int(os.environ.get("SCHEMAS", "40"))
SUITE = os.environ.get("JSON_SCHEMA_TEST_SUITE")  # the source archive of the package jsonschema, which carries it
AT_ONCE = 12
ANSWERS = 3
ENDING = ('"', "}", "]", '"}', '"]', "}}", '",', ",", "0", "1", "2", "<|im_end|>")
FORMATS = FormatChecker(())
FORMATS.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)
PARAM = "response_format.json_schema.schema"


@FORMATS.checks("date", ValueError)
def _is_date(value: object) -> bool:
    """The library's dates begin with the year 1, RFC 3339's with 0."""
    return not isinstance(value, str) or bool(date.fromisoformat(_of_a_later_year(value)))


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or Draft202012Validator.FORMAT_CHECKER.conforms(_of_a_later_year(value), "date-time")


def _of_a_later_year(value: str) -> str:
    return re.sub("^0000", "0004", value)


@pytest.fixture(scope="module")
def random_model(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model with the default model's tokenizer."""
    folder = tmp_path_factory.mktemp("random-model")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    end: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "vocab_size": 49152, "tie_word_embeddings": True}
    LlamaForCausalLM(LlamaConfig(**shape, **end, num_key_value_heads=2, max_position_embeddings=2048)).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (model_path / file).exists():
            shutil.copy(model_path / file, folder)
    return folder


@pytest.fixture(scope="module")
def random_server(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with service_process(random_model, tmp_path_factory.mktemp("random-server") / "log") as process:
        yield process


@pytest.fixture(scope="module")
def ending(model_path: Path) -> list[int]:
    """Tokens that end strings, lists and objects. A random model alone would fill each answer with one string."""
    tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
    return [token_id for token in ENDING if (token_id := tokenizer.token_to_id(token)) is not None]


def test_what_clients_write_is_accepted_and_held(random_server: ServiceProcess, ending: list[int]) -> None:
    outcomes = asyncio.run(_tried(random_server, generate(client_schemas(), COUNT), ending))
    print(f"\nschemas as clients write them: {dict(outcomes)}")
    assert outcomes["accepted"] >= 0.9 * (outcomes["accepted"] + outcomes["refused"])
    assert outcomes["valid answers"] > outcomes["accepted"]


def test_any_schema_is_refused_or_held(random_server: ServiceProcess, ending: list[int]) -> None:
    outcomes = asyncio.run(_tried(random_server, generate(any_schemas(), COUNT), ending))
    print(f"\nschemas with any keywords: {dict(outcomes)}")
    assert outcomes["accepted"] and outcomes["refused"] and outcomes["valid answers"]


@pytest.mark.skipif(SUITE is None, reason="needs an archive that is fetched by make structured-output")
def test_schemas_of_the_json_schema_test_suite_are_refused_or_held(random_server: ServiceProcess, ending: list[int]) -> None:
    outcomes = asyncio.run(_tried(random_server, list(_suite(Path(SUITE or ""))), ending))
    print(f"\nJSON-Schema-Test-Suite: {dict(outcomes)}")
    assert outcomes["accepted"] and outcomes["refused"] and outcomes["valid answers"]


def _suite(archive: Path) -> Iterator[Any]:
    with tarfile.open(archive) as files:
        for member in files.getmembers():
            if "/json/tests/draft2020-12/" in member.name and member.name.endswith(".json") and "/optional/" not in member.name:
                content = files.extractfile(member)
                assert content
                yield from (case["schema"] for case in json.load(content))


async def _tried(server: ServiceProcess, schemas: list[Schema], ending: list[int]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx2.AsyncClient(base_url=server.url, timeout=120) as client:

        async def one(number: int, schema: Schema) -> None:
            async with turns:
                response = await client.post("/v1/chat/completions", json=_request(number, schema, ending))
            try:
                outcomes.update(_judged(schema, response))
            except AssertionError as fault:
                faults.append(str(fault))

        async with asyncio.TaskGroup() as tasks:
            for number, schema in enumerate(schemas):
                tasks.create_task(one(number, schema))
    assert not faults, f"{len(faults)} faults, of which the first are:\n" + "\n\n".join(sorted(faults, key=len)[:5])
    return outcomes


def _request(number: int, schema: Schema, ending: list[int]) -> dict[str, Any]:
    chance = random.Random(number)
    return {
        "model": "smol",
        "messages": [{"role": "user", "content": "Write JSON."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": chance.random() < 0.5}},
        "logit_bias": {token_id: chance.uniform(7, 12) for token_id in ending},
        "seed": number,
        "n": ANSWERS,
        "max_tokens": 150,
    }


def _judged(schema: Schema, response: httpx2.Response) -> Counter[str]:
    shown = json.dumps(schema)
    body = response.json()
    if response.status_code == 400:
        error = body["error"]
        if error["param"] is None:
            assert error["message"].startswith("The grammar of this request "), (error, shown)
            return Counter({"accepted": 1, "dead ends": 1})
        assert error["param"].startswith(PARAM), (error, shown)
        return Counter({"refused": 1, f"refused: {error['message'].partition(' ')[2][:60]}": 1})
    assert response.status_code == 200, (body, shown)
    validator = Draft202012Validator(schema, format_checker=FORMATS)
    answers = [choice["message"]["content"] for choice in body["choices"] if choice["finish_reason"] == "stop"]
    for answer in answers:
        try:
            validator.validate(json.loads(answer))
        except (ValueError, ValidationError, RecursionError) as error:
            raise AssertionError((str(error)[:300], answer, shown)) from error
    return Counter({"accepted": 1, "valid answers": len(answers), "cut answers": ANSWERS - len(answers)})
