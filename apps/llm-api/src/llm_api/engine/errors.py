"""What can go wrong in the engine, in words for an operator."""


class EngineError(Exception):
    """Loading failed for a reason that an operator can mend. One line."""


def shortened(error: Exception) -> str:
    """What a library said, cut where it goes on for long."""
    return " ".join(str(error).split())[:300]
