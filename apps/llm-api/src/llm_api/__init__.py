"""llm-api: an OpenAI-compatible API on a continuous-batching torch engine."""

__version__ = "0.1.0"
