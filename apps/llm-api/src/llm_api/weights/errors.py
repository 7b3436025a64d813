"""Errors of fetching, checking and converting a model."""

from llm_api.refusal import EX_CONFIG, Refusal


class WeightsError(Refusal):
    """The model cannot be had, or not be served. Its kinds differ in the exit code: a bad URI, a full disk."""


class BadModelUri(WeightsError):
    exit_code = EX_CONFIG


class RemoteCodeRefused(WeightsError):
    exit_code = EX_CONFIG


class WeightsNotFound(WeightsError):
    exit_code = 66  # EX_NOINPUT


class UnreadableModel(WeightsError):
    exit_code = 66


class IncompleteModel(WeightsError):
    """A file that serving needs is missing or truncated."""


class UnsupportedModel(WeightsError):
    """Pickled weights, an unknown architecture or an unknown quantization."""


class WrongChecksum(WeightsError):
    def __init__(self, name: str, expected: str, actual: str, remedy: str = "The file was removed; try again.") -> None:
        super().__init__(f"{name} has the wrong checksum: expected sha256 {expected}, got {actual}. {remedy}")


class SourceUnreachable(WeightsError):
    exit_code = 69  # EX_UNAVAILABLE


class NotAuthorised(WeightsError):
    exit_code = 77  # EX_NOPERM


class DiskFull(WeightsError):
    exit_code = 74  # EX_IOERR


class CacheNotWritable(WeightsError):
    exit_code = 73  # EX_CANTCREAT
