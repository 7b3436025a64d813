"""Converts pydantic's errors to OpenAI's: the field's path in `param`, OpenAI's codes, a message of bounded length."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llm_api.protocol.errors import InvalidRequest

MAX_ERRORS = 1000  # listing more would delay all other requests
MAX_PARAM = 200
MAX_NUMBER = 40
EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
}
JSON_NAMES = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array", dict: "an object"}
# Where a location has the name of a union's branch, which is not part of the path
UNIONS = {"messages": 2, "response_format": 1, "tool_choice": 2, "text": 2}
Location = list[str | int]
ITEMS = (
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "text",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
)
BRANCHES = frozenset({"<string>", "<object>", "<array>", "<strings>", "<tokens>", "<arrays>", "[key]", *(f"<{name}>" for name in ITEMS)})
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
Explain = Callable[[str, ErrorDetails, dict[str, Any]], tuple[str, str]]  # (param, error, its ctx) -> (message, code)


def invalid_request(error: ValidationError) -> InvalidRequest:
    """Reports the first error only."""
    if error.error_count() > MAX_ERRORS:
        return InvalidRequest(f"The body has {error.error_count()} invalid or unknown fields.", code="invalid_value")
    detail = error.errors(include_url=False)[0]
    param, context = _param(detail), detail.get("ctx", {})
    message, code = EXPLAIN.get(detail["type"], _other)(param, detail, context)
    return InvalidRequest(message, param=param or None, code=code)


def field_location(detail: ErrorDetails) -> Location:
    """The keys and indices that lead to the field, without the names of union branches."""
    location = detail["loc"]
    is_own_key = detail["type"] == "extra_forbidden"  # then the last item is what the client wrote
    last = len(location) - 1
    return [item for at, item in enumerate(location) if (is_own_key and at == last) or not (item in BRANCHES or _is_branch(location, at))]


def _is_branch(location: tuple[str | int, ...], at: int) -> bool:
    first = str(location[0])
    return UNIONS.get(first) == at and (first != "messages" or location[at] in ROLES)


def path_name(location: Location) -> str:
    """The path of a field, such as `messages[0].content`."""
    path = ""
    for item in location:
        path += f"[{item}]" if isinstance(item, int) else f".{item}" if path else item
    return path[:MAX_PARAM]


def _param(detail: ErrorDetails) -> str:
    path = path_name(field_location(detail))
    if detail["type"].startswith("union_tag"):
        path += "." + detail["ctx"]["discriminator"].strip("'")
    return str(detail.get("ctx", {}).get("param", path))[:MAX_PARAM]


def _json_name(value: object) -> str:
    return "null" if value is None else JSON_NAMES.get(type(value), "something else")


def _number(value: float) -> str:
    text = str(value)
    return text if len(text) <= MAX_NUMBER else f"{text[:MAX_NUMBER]}..."


def _type(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    subject = f"for '{param}'" if param else "of the body"
    return f"Invalid type {subject}: expected {EXPECTED[detail['type']]}, but got {_json_name(detail['input'])} instead.", "invalid_type"


def _branch_type(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"Invalid type for '{param}': {detail['msg']}, but got {_json_name(detail['input'])} instead.", "invalid_type"


def _above(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    kind = "integer" if isinstance(detail["input"], int) else "decimal"
    limit, got = _number(context["le"]), _number(detail["input"])
    return f"Invalid '{param}': {kind} above maximum value. Expected a value <= {limit}, but got {got} instead.", f"{kind}_above_max_value"


def _below(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    kind = "integer" if isinstance(detail["input"], int) else "decimal"
    limit, got = _number(context["ge"]), _number(detail["input"])
    return f"Invalid '{param}': {kind} below minimum value. Expected a value >= {limit}, but got {got} instead.", f"{kind}_below_min_value"


def _long(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    kind = JSON_NAMES.get(type(detail["input"]), "an array").split()[-1]
    limit, got = context["max_length"], len(detail["input"])
    return f"Invalid '{param}': {kind} too long. Expected a maximum length of {limit}, but got {got} instead.", f"{kind}_above_max_length"


def _short(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    kind = JSON_NAMES.get(type(detail["input"]), "an array").split()[-1]
    limit, got = context["min_length"], len(detail["input"])
    return f"Invalid '{param}': {kind} too short. Expected a minimum length of {limit}, but got {got} instead.", f"{kind}_below_min_length"


def _missing(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"Missing required parameter: '{param}'.", "missing_required_parameter"


def _unknown(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"Unknown parameter: '{param}'.", "unknown_parameter"


def _unsupported(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"'{param}' {detail['msg']}.", "unsupported_parameter"


def _ineffective(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"'{param}' has no effect on this server; leave it out, or set REQUEST_FIELDS=warn on the server.", "unsupported_parameter"


def _inconsistent(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"'{param}' {context['reason']}.", context["code"]


def _choice(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    supported = context.get("expected", context.get("expected_tags"))
    return f"Invalid value for '{param}': this server supports {supported}.", "invalid_value"


def _json(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"The body is not valid JSON: {context['error']}.", "invalid_json"


def _other(param: str, detail: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    return f"Invalid value for '{param}': {detail['msg'][:MAX_PARAM]}.", "invalid_value"


EXPLAIN: Mapping[str, Explain] = {
    **dict.fromkeys(EXPECTED, _type),
    **dict.fromkeys(("too_long", "string_too_long"), _long),
    **dict.fromkeys(("too_short", "string_too_short"), _short),
    **dict.fromkeys(("missing", "union_tag_not_found"), _missing),
    **dict.fromkeys(("literal_error", "union_tag_invalid"), _choice),
    "less_than_equal": _above,
    "greater_than_equal": _below,
    "extra_forbidden": _unknown,
    "unsupported_parameter": _unsupported,
    "ineffective_parameter": _ineffective,
    "inconsistent": _inconsistent,
    "json_invalid": _json,
    "invalid_type": _branch_type,
    "unsupported_item": _other,
}
