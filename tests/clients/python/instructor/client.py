"""instructor: structured output by tools and by schemas."""

from typing import Literal

import instructor
import openai
from pydantic import BaseModel
from reporting import API_KEY, BASE_URL, MODEL, client, shows

api = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
MESSAGES = [{"role": "user", "content": "What is the weather in Paris?"}]


class Weather(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    cloudy: bool


client("instructor")


def extracted(mode: instructor.Mode) -> None:
    patched = instructor.from_openai(api, mode=mode)
    assert isinstance(
        patched.create(model=MODEL, messages=MESSAGES, response_model=Weather, max_tokens=200, temperature=0, max_retries=0), Weather
    )


@shows("tools")
def _() -> None:
    extracted(instructor.Mode.TOOLS)
    extracted(instructor.Mode.TOOLS_STRICT)


@shows("structured output")
def _() -> None:
    extracted(instructor.Mode.JSON_SCHEMA)


@shows("stream")
def _() -> None:
    patched = instructor.from_openai(api, mode=instructor.Mode.TOOLS)
    parts = list(
        patched.create_partial(model=MODEL, messages=MESSAGES, response_model=Weather, max_tokens=200, temperature=0, max_retries=0)
    )
    assert parts[-1].city in ("Paris", "Rome")
