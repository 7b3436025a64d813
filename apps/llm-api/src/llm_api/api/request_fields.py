"""REQUEST_FIELDS: whether a request with fields that have no effect is refused, or served without them."""

from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from llm_api.api.validation import MAX_ERRORS, Location, field_location, field_name, invalid_request
from llm_api.protocol.errors import InvalidRequest
from llm_api.settings import RequestFields
from llm_api.telemetry.context import current_request
from llm_api.telemetry.metrics import Metrics

HEADER = "x-ignored-fields"
MAX_NAMED = 20  # fields in the header
PASSES = 5  # a field can come to light when another one is gone
WITHOUT_EFFECT = {"extra_forbidden", "ineffective_parameter"}
# Fields of other servers that change what is generated, with the value that changes nothing. A request that asks for another one is
# never served without the field.
CHANGES_OUTPUT: dict[str, object] = dict.fromkeys(
    (
        "bad_words", "chat_template", "documents", "dry_multiplier", "format", "grammar", "guided_choice",
        "guided_grammar", "guided_json", "guided_regex", "images", "json_schema", "logits_processors", "mirostat", "prompt_logprobs",
        "regex", "structured_outputs", "truncate_prompt_tokens", "typical_p", "xtc_probability",
    )
)  # fmt: skip
CHANGES_OUTPUT |= {
    "best_of": 1,
    "echo": False,
    "skip_special_tokens": True,
    "use_beam_search": False,
}
NOTHING: tuple[object, ...] = (None, "", [], {})

Body = TypeVar("Body", bound=BaseModel)


def read_fields(body: bytes, model: type[Body], mode: RequestFields, metrics: Metrics) -> Body:
    """Raises InvalidRequest. Fields without effect are left out, named in the request's context and counted, as `mode` says."""
    for _ in range(PASSES):
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            ignored = [] if mode == "strict" or error.error_count() > MAX_ERRORS else _without_effect(error)
            if not ignored:
                raise invalid_request(error) from None
            if mode == "warn":
                for detail in ignored:
                    metrics.ignored_field(field_name(detail), known=detail["type"] != "extra_forbidden")
            body = _without(body, map(field_location, ignored))
    return model.model_validate_json(body)


def ignored_fields_header() -> dict[str, str]:
    """Names what the current request was served without. Empty if nothing was left out."""
    names = current_request().ignored_fields
    more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return {HEADER: ", ".join([*(quote(name, safe="[].") for name in names[:MAX_NAMED]), *more])} if names else {}


def _without_effect(error: ValidationError) -> list[ErrorDetails]:
    """Raises InvalidRequest for a field of another server that would change the output."""
    ignored = [detail for detail in error.errors(include_url=False) if detail["type"] in WITHOUT_EFFECT]
    for detail in ignored:
        name, value = field_name(detail), detail["input"]
        if name in CHANGES_OUTPUT and value not in NOTHING and value != CHANGES_OUTPUT[name]:
            raise InvalidRequest(f"'{name}' is not supported by this server; leave it out.", param=name, code="unsupported_parameter")
    return ignored


def _without(body: bytes, locations: Iterator[Location]) -> bytes:
    content = from_json(body)
    for *path, last in locations:
        owner: Any = content
        for item in path:
            owner = owner[item]
        owner.pop(last, None)
    return to_json(content, inf_nan_mode="constants")
