"""Fields of the OpenAI API that this server refuses by name: dropping them silently would change what clients get."""

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _refuse(value: Any) -> None:
    if value is not None:
        raise PydanticCustomError("unsupported_parameter", "is not supported by this server; leave it out")


Unsupported = Annotated[None, BeforeValidator(_refuse)]
