"""What a service says once it is ready: where it is, and how to try it."""

import json
import shlex
from dataclasses import dataclass

import structlog
from rich.console import Console
from rich.text import Text

_QUESTION = "What is Kubernetes?"


@dataclass(frozen=True, slots=True)
class Announcement:
    model: str
    url: str
    needs_key: bool

    @property
    def curl(self) -> str:
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 100})
        key = '-H "authorization: Bearer $API_KEY" ' if self.needs_key else ""
        return f"curl {self.url}/v1/chat/completions {key}-H 'content-type: application/json' -d {shlex.quote(body)}"

    def print(self, console: Console) -> None:
        """The curl line stays in one piece, however narrow the terminal: it is there to be copied."""
        ready = Text.assemble(("Ready:", "bold green"), f" {self.model} at ", (self.url, "bold"))
        console.print("", ready, f"Docs:  {self.url}/docs", f"Try:   {self.curl}", sep="\n", markup=False, highlight=False, soft_wrap=True)

    def log(self) -> None:
        log = structlog.stdlib.get_logger("llm_api.serve")
        log.info("ready", model=self.model, url=self.url, docs=f"{self.url}/docs", curl=self.curl)
