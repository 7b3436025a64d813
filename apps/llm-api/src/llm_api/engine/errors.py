"""What can go wrong in the engine, in words for an operator."""


class EngineError(Exception):
    """Loading failed for a reason that an operator can mend. One line."""
