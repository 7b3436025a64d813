"""The command line. A command imports its libraries when it runs, so `llm-api --help` loads none of them."""

from llm_api.cli.commands import main

__all__ = ["main"]
