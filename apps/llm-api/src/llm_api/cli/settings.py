"""`llm-api settings`."""

EPILOG = "An empty variable counts as unset. `PORT=9000 llm-api settings` shows 9000: the values are those that `serve` would take."


def settings() -> None:
    """List every setting: its environment variable, its value now, and what it does."""
    from rich.console import Console
    from rich.table import Table

    from llm_api.cli.configuration import read_settings
    from llm_api.cli.outcome import plain_errors

    with plain_errors():
        current = read_settings()
    table = Table("Variable", "Value", "Meaning", box=None, pad_edge=False)
    for name, field in type(current).model_fields.items():
        table.add_row(name.upper(), _shown(name, getattr(current, name)), field.description)
    Console().print(table, markup=False)


def _shown(name: str, value: object) -> str:
    if value is None or value == ():
        return ""
    return "(set)" if name == "api_keys" else str(value)
