"""Settings for a command: the environment, and over it what was said on the command line."""

from typing import TYPE_CHECKING, Any

from llm_api.cli.outcome import CommandError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from llm_api.settings import Settings

EX_CONFIG = 78  # sysexits.h
_SECRET = ("api_keys",)


def read_settings(**options: Any) -> "Settings":
    """Raises CommandError naming the variable or the option, its value and what it should be."""
    from pydantic import ValidationError

    from llm_api.settings import Settings

    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise CommandError("; ".join(_line(detail, given) for detail in error.errors()), EX_CONFIG) from None
    except RuntimeError:  # Path.home(), for a user that the system does not know
        raise CommandError("this user has no home folder: set MODEL_CACHE to a writable one", EX_CONFIG) from None


def _line(detail: "ErrorDetails", given: dict[str, Any]) -> str:
    if not detail["loc"]:
        return detail["msg"]
    field = str(detail["loc"][0]).lower()
    name = "--" + field.replace("_", "-") if field in given else field.upper()
    value = "" if field in _SECRET else f"={str(detail['input'])[:80]}"
    return f"{name}{value} is not valid: {detail['msg'].removeprefix('Value error, ')}"
