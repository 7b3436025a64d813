"""The command line. Each command imports what it needs when it runs: `llm-api --help` is quick and loads no library."""

from llm_api.cli.commands import main

__all__ = ["main"]
