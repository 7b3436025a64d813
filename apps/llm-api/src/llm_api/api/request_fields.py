"""REQUEST_FIELDS: whether a request with fields that have no effect is refused, or served without them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from llm_api.api.validation import MAX_ERRORS, Location, field_location, invalid_request, path_name
from llm_api.protocol.errors import InvalidRequest
from llm_api.settings import RequestFields
from llm_api.telemetry.context import current_request
from llm_api.telemetry.metrics import Metrics

HEADER = "x-ignored-fields"
MAX_HEADER = 1000  # characters of names
INDEX = re.compile(r"\[\d+\]")
PASSES = 40  # a list is validated up to its first error, so a pass finds one kind of field
UNKNOWN, INEFFECTIVE = "extra_forbidden", "ineffective_parameter"
# Fields of other servers that change what is generated, with the value that changes nothing. A request that asks for another one is
# never served without the field.
NEUTRAL: dict[str, object] = dict.fromkeys(
    (
        "chat_template", "documents", "ebnf", "format", "grammar", "guided_choice", "guided_grammar", "guided_json",
        "guided_regex", "image_url", "images", "input_audio", "json_schema", "logits_processors", "max_completion_tokens",
        "max_new_tokens", "min_new_tokens", "n_predict", "num_predict", "regex", "stop_sequences",
        "structural_tag", "disable_additional_properties", "suffix", "video_url",
    )
)  # fmt: skip
NEUTRAL |= {
    "best_of": 1,
    "dry_multiplier": 0,
    "echo": False,
    "length_penalty": 1,
    "mirostat": 0,
    "no_repeat_ngram_size": 0,
    "tfs": 1,
    "top_a": 0,
    "typical_p": 1,
    "use_beam_search": False,
    "xtc_probability": 0,
}
NOTHING: tuple[object, ...] = (None, "", [], {})

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class _Removed:
    name: str
    is_known: bool  # to this API, which has no use for it


def read_fields(body: bytes, model: type[Body], mode: RequestFields, metrics: Metrics) -> Body:
    """Raises InvalidRequest. Fields without effect are left out, named in the request's context and counted, as `mode` says."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if mode == "strict":
            raise invalid_request(error) from None
        content, first = _parsed(body, error), error
    removed = _remove(content, first)
    for _ in range(PASSES):
        try:
            request = model.model_validate(content)
        except ValidationError as error:
            removed += _remove(content, error)
        else:
            if mode == "warn":
                for field in removed:
                    metrics.ignored_field(field.name, field.name if field.is_known else "unknown")
            return request
    raise InvalidRequest(f"The body has more than {PASSES} kinds of unknown fields.", code="unknown_parameter")


def ignored_fields_header() -> dict[str, str]:
    """Names what the current request was served without: the first field of each kind. Empty if nothing was left out."""
    ignored = current_request().ignored_fields
    kinds = {INDEX.sub("", name): quote(name, safe="[].") for name in reversed(ignored)}
    shown: list[str] = []
    for name in reversed(kinds.values()):
        if sum(map(len, shown)) + len(name) > MAX_HEADER:
            break
        shown.append(name)
    hidden = len(ignored) - len(shown)
    return {HEADER: ", ".join([*shown, *([f"and {hidden} more"] if hidden else [])])} if ignored else {}


def _parsed(body: bytes, error: ValidationError) -> Any:
    try:
        return from_json(body)
    except ValueError:
        raise invalid_request(error) from None


def _remove(content: Any, error: ValidationError) -> list[_Removed]:
    """Removes the fields without effect that `error` lists, also from messages and parts of the same kind. Raises InvalidRequest."""
    details = error.errors(include_url=False) if error.error_count() <= MAX_ERRORS else []
    ignored = [detail for detail in details if detail["type"] in {UNKNOWN, INEFFECTIVE}]
    for detail in ignored:
        _refuse_if_it_changes_the_output(detail)
    if not ignored:
        raise invalid_request(error) from None
    return [
        _Removed(path_name(location), detail["type"] == INEFFECTIVE)
        for detail in ignored
        for location in list(_alike(content, field_location(detail), detail["type"]))
        if _pop(content, location)
    ]


def _refuse_if_it_changes_the_output(detail: ErrorDetails) -> None:
    location, value = field_location(detail), detail["input"]
    name = location[-1]
    if name in NEUTRAL and value not in NOTHING and value != NEUTRAL[str(name)]:
        path = path_name(location)
        raise InvalidRequest(f"'{path}' is not supported by this server; leave it out.", param=path, code="unsupported_parameter")


def _alike(content: Any, location: Location, kind: str) -> Iterator[Location]:
    """The field at this place of all messages, parts, calls and tools: one validation names it in the first of them only."""
    *owner, field = location
    is_of_message = owner[:1] == ["messages"] and len(owner) == 2
    role = content["messages"][owner[1]].get("role") if is_of_message else None
    for place in _places(content, owner):
        found = _at(content, place)
        if place == owner or (_has(found, field, kind) and (not is_of_message or found.get("role") == role)):
            yield [*place, field]


def _places(value: Any, path: Location) -> Iterator[Location]:
    """Paths that differ from `path` in their indices only, and exist."""
    if not path:
        yield []
        return
    first, *rest = path
    if isinstance(first, int):
        keys: list[str | int] = list(range(len(value))) if isinstance(value, list) else []
    else:
        keys = [first] if isinstance(value, dict) and first in value else []
    for key in keys:
        yield from ([key, *found] for found in _places(value[key], rest))


def _at(content: Any, path: Location) -> Any:
    for key in path:
        content = content[key]
    return content


def _has(owner: Any, field: str | int, kind: str) -> bool:
    return isinstance(owner, dict) and field in owner and (kind == UNKNOWN or owner[field] not in NOTHING)


def _pop(content: Any, location: Location) -> bool:
    *path, last = location
    for item in path:
        content = content[item]
    return bool(isinstance(content, dict) and content.pop(last, _Removed) is not _Removed)
