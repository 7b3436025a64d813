"""Errors of the engine and its process."""

from llm_api.refusal import EX_CONFIG, Refusal


class EngineError(Refusal):
    """The model cannot be loaded or computed, for a reason in its files. One line."""


class SettingRefused(EngineError):
    """A setting, or the machine, does not fit the model. The line names the setting and the fix."""

    exit_code = EX_CONFIG


class EngineDied(Exception):
    """The engine process ended or could not load. Every request in flight raises it in the API process."""

    def __init__(self, reason: str | None, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def shortened(error: Exception) -> str:
    """A library's error message in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]
