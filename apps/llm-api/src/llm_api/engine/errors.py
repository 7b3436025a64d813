"""Errors of the engine and its process."""


class EngineError(Exception):
    """The model cannot be loaded or computed, for a reason that an operator can fix. One line."""


class EngineDied(Exception):
    """The engine process ended or could not load. Every request in flight raises it in the API process."""


def shortened(error: Exception) -> str:
    """A library's error message in one line of at most 300 characters."""
    return " ".join(str(error).split())[:300]
