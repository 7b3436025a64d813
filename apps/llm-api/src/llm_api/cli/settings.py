"""`llm-api settings`, and how commands read the settings."""

from typing import TYPE_CHECKING, Any

from llm_api.cli.errors import CommandError, plain_errors
from llm_api.refusal import EX_CONFIG

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from llm_api.settings import Settings

EPILOG = """
Examples:

`llm-api settings`: lists the values that `llm-api serve` would use

`PORT=9000 llm-api settings`: shows 9000 as the value of PORT

An empty variable counts as unset.
"""
_SECRET = ("api_keys",)


def settings() -> None:
    """List every setting: its environment variable, its current value and its meaning."""
    from rich.console import Console
    from rich.table import Column, Table

    with plain_errors():
        current = read_settings()
    fields = type(current).model_fields
    longest = max(map(len, fields))  # names are never cut, however narrow the terminal is
    table = Table(Column("Variable", no_wrap=True, min_width=longest), "Value", "Meaning", box=None, pad_edge=False)
    for name, field in fields.items():
        table.add_row(name.upper(), _shown(name, getattr(current, name)), field.description)
    Console().print(table, markup=False)


def read_settings(**options: Any) -> "Settings":
    """The settings from the environment, overridden by the command's options that are not None.

    Raises CommandError, which names the variable or option, its value and the expected value.
    """
    from pydantic import ValidationError

    from llm_api.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise CommandError("; ".join(_line(detail, given) for detail in error.errors()), EX_CONFIG) from None
    except RuntimeError:  # Path.home(), for a user id without an account
        raise CommandError("this user has no home folder: set MODEL_CACHE to a writable folder", EX_CONFIG) from None


def _shown(name: str, value: object) -> str:
    if value is None or value == ():
        return ""
    return "(set)" if name in _SECRET else str(value)


def _line(detail: "ErrorDetails", given: dict[str, Any]) -> str:
    if not detail["loc"]:
        return detail["msg"]
    field = str(detail["loc"][0]).lower()
    name = "--" + field.replace("_", "-") if field in given else field.upper()
    value = "" if field in _SECRET else f"={str(detail['input'])[:80]}"
    return f"{name}{value} is not valid: {detail['msg'].removeprefix('Value error, ')}"
