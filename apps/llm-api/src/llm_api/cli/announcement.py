"""The message of a service that is ready."""

import json
import shlex
import sys
from dataclasses import dataclass

import structlog
from rich.console import Console
from rich.text import Text

from llm_api.settings import Settings

_QUESTION = "What is Kubernetes?"


def needs_key(settings: Settings) -> bool:
    return bool(settings.api_keys or settings.api_keys_file)


@dataclass(frozen=True, slots=True)
class Announcement:
    """The message of a service that is ready: its address, and a command to try it."""

    model: str
    url: str
    needs_key: bool

    @property
    def curl(self) -> str:
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 100})
        key = '-H "authorization: Bearer $API_KEY" ' if self.needs_key else ""
        return f"curl {self.url}/v1/chat/completions {key}-H 'content-type: application/json' -d {shlex.quote(body)}"

    def show(self, log_format: str) -> None:
        """On a terminal as text, else in the log."""
        if sys.stderr.isatty() and log_format != "json":
            self.print(Console(stderr=True))
        else:
            self.log()

    def print(self, console: Console) -> None:
        """The curl command stays on one line, however narrow the terminal, so that it can be copied."""
        ready = Text.assemble(("Ready:", "bold green"), f" {self.model} at ", (self.url, "bold"))
        console.print("", ready, f"Docs:  {self.url}/docs", f"Try:   {self.curl}", sep="\n", markup=False, highlight=False, soft_wrap=True)

    def log(self) -> None:
        log = structlog.stdlib.get_logger("llm_api.serve")
        log.info("ready", model=self.model, url=self.url, docs=f"{self.url}/docs", curl=self.curl)
