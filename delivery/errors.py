"""The errors that a command reports in one line, with exit code 1. Any other exception is a bug and prints a traceback."""


class DeliveryError(Exception):
    """What failed and how to fix it."""


class Refused(DeliveryError):
    """The reason for not promoting or releasing an image, and the fix."""
