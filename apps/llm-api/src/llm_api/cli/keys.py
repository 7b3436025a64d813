"""`llm-api keys`: makes, lists and checks API keys."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_api.cli.errors import CommandError, plain_errors
from llm_api.cli.settings import read_settings
from llm_api.refusal import EX_CONFIG

if TYPE_CHECKING:
    from llm_api.api.keys import ApiKey

EPILOG = """
Examples:

`llm-api keys new alice --file keys.txt`: makes a key, prints it, and adds its entry to the file

`API_KEYS_FILE=keys.txt llm-api serve`: accepts only requests with one of the keys; changes of the file apply without a restart

`API_KEYS_FILE=keys.txt llm-api keys list`: lists the names

`API_KEYS_FILE=keys.txt llm-api keys check`: reads a key from the terminal or stdin, and prints its name

To revoke a key, remove its line from the file.
"""
_File = Annotated[Path | None, typer.Option("--file", help="File of `name:sha256` lines. (Env API_KEYS_FILE)")]


def application() -> typer.Typer:
    commands = typer.Typer(help="Make, list and check API keys. The service keeps only their SHA-256.", epilog=EPILOG, no_args_is_help=True)
    commands.command(name="new")(new)
    commands.command(name="list")(list_names)
    commands.command()(check)
    return commands


def new(
    name: Annotated[str, typer.Argument(help="Name of the key's owner: up to 64 letters, digits and . _ - Usage is counted by name.")],
    file: Annotated[Path | None, typer.Option(help="Add the entry to this file. A new file is readable by you alone.")] = None,
) -> None:
    """Make a key. It is printed once: the file has only its hash."""
    from llm_api.api.keys import ENTRY, new_key

    with plain_errors():
        key, entry = new_key(name)
        if not ENTRY.fullmatch(entry):
            raise CommandError(f"{name!r} is not a valid key name: use 1 to 64 letters, digits and . _ -", EX_CONFIG)
        if file:
            _append(file, name, entry)
        typer.echo(key)
        if not file:
            typer.echo(entry)
            typer.echo("The first line is the key: it is not shown again. The second line goes into API_KEYS_FILE or API_KEYS.", err=True)


def list_names(file: _File = None) -> None:
    """List the names of the accepted keys, each with the beginning of its hash, and its mode of REQUEST_FIELDS if it has one."""
    with plain_errors():
        for digest, key in sorted(_known(file).items(), key=lambda item: item[1].name):
            typer.echo(f"{key.name}  {digest.hex()[:12]}  {key.request_fields or ''}".rstrip())


def check(file: _File = None) -> None:
    """Print the name of a key. It is read from the terminal without echo, or from stdin, never from the command line."""
    import hashlib

    with plain_errors():
        known = _known(file)
        key = typer.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
        found = known.get(hashlib.sha256(key.strip().encode()).digest())
        if found is None:
            raise CommandError("this key is not accepted", 1)
        typer.echo(found.name)


def _known(file: Path | None) -> "dict[bytes, ApiKey]":
    from llm_api.api.keys import ApiKeysError, parse_keys

    settings = read_settings(api_keys_file=file)
    if not settings.api_keys and not settings.api_keys_file:
        raise CommandError("no keys: set API_KEYS_FILE or API_KEYS, or give --file", EX_CONFIG)
    try:
        known = parse_keys(settings.api_keys or "", "API_KEYS") if not file else {}
        if settings.api_keys_file:
            known |= parse_keys(settings.api_keys_file.read_text(), str(settings.api_keys_file))
    except (ApiKeysError, OSError, UnicodeDecodeError) as error:
        raise CommandError(str(error), EX_CONFIG) from None
    return known


def _append(file: Path, name: str, entry: str) -> None:
    from llm_api.api.keys import ApiKeysError, parse_keys

    try:
        with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+") as keys:
            keys.seek(0)
            text = keys.read()
            if any(known.name == name for known in parse_keys(text, str(file)).values()):
                raise CommandError(f"{file} already has a key named {name}: choose another name, or remove its line first", EX_CONFIG)
            keys.write(entry + "\n" if text.endswith("\n") or not text else f"\n{entry}\n")
    except (ApiKeysError, OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot add to {file}: {error}", EX_CONFIG) from None
