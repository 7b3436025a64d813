"""The clients that are tested, and how each one is installed and run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Client:
    """`folder`: below tests/clients, with its script. `fast`: part of every run in CI; the others need `make clients-all`."""

    title: str
    folder: str
    kind: Literal["python", "node", "java", "own"]
    script: str = "client.py"
    fast: bool = False
    seconds: int = 120

    @property
    def id(self) -> str:
        return f"{self.folder}/{self.script}".removesuffix("/client.py").replace("python/", "")

    @property
    def path(self) -> Path:
        return FOLDER / self.folder


CLIENTS = (
    Client("openai for Python", "python/openai", "python", fast=True),
    Client("openai for JavaScript", "node", "node", "openai.mjs", fast=True),
    Client("anthropic for Python", "python/anthropic", "python", fast=True),
    Client("Vercel AI SDK", "node", "node", "ai_sdk.mjs", fast=True),
    Client("Java's HttpClient", "java", "java", "Client.java", fast=True),
    Client("Chromium, a page on another origin", "browser", "own", fast=True),
    Client("Requests of chat UIs and agents", "ui_requests", "own", fast=True),
    Client("LangChain's standard tests", "python/langchain", "python", seconds=600),
    Client("LlamaIndex", "python/llama_index", "python"),
    Client("LiteLLM", "python/litellm", "python"),
    Client("instructor", "python/instructor", "python"),
    Client("pydantic-ai", "python/pydantic_ai", "python"),
    Client("DSPy", "python/dspy", "python"),
    Client("aiperf", "python/aiperf", "python", seconds=300),
    Client("lm-evaluation-harness", "python/lm_eval", "python", seconds=600),
)
