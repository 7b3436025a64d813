"""The errors that a command reports in one line, with exit code 1. Any other exception is a bug and prints a traceback."""


class DeliveryError(Exception):
    """What failed and how to fix it."""


class Refused(DeliveryError):
    """Why an image is not promoted or released, and what to do about it."""
