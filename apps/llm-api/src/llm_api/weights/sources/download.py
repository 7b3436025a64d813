"""Downloads one file over HTTP: resumes an interrupted download, retries, and checks the sha256 before the file gets its name."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from llm_api.weights.checksums import check_sha256
from llm_api.weights.disk import disk_errors, require_space
from llm_api.weights.errors import SourceUnreachable, WeightsNotFound
from llm_api.weights.progress import Progress, TransferReport

_TRANSIENT = (408, 429, 500, 502, 503, 504)
_REFUSALS = (401, 403, 407)


class AccessRefused(Exception):
    """The server or a proxy requires credentials, or its certificate is not trusted."""


class Downloader:
    def __init__(self, progress: Progress, attempts: int = 5, longest_wait: float = 20) -> None:
        self._progress = progress
        self._retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(attempts),
            wait=wait_exponential_jitter(multiplier=min(1, longest_wait), max=longest_wait, jitter=min(1, longest_wait)),
            before_sleep=self._note_retry,
            reraise=True,
        )

    def fetch(self, url: str, target: Path, sha256: str) -> None:
        """Writes `target`; when interrupted, leaves `target` + .part for the next run to resume. Raises WeightsError or AccessRefused."""
        part = target.with_name(target.name + ".part")
        try:
            with disk_errors(target.parent), self._progress.transfer(f"downloading {target.name}") as report:
                self._retrying(_stream, url, part, report)
        except httpx2.HTTPError as error:
            raise _explained(error, url, target.name) from error
        check_sha256(part, sha256, target.name)
        part.replace(target)

    def _note_retry(self, state: RetryCallState) -> None:
        reason = state.outcome.exception() if state.outcome else None
        self._progress.note(f"interrupted ({_reason(reason)}), retrying")


def _stream(url: str, part: Path, report: TransferReport) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"accept-encoding": "identity"} | ({"range": f"bytes={done}-"} if done else {})
    timeout = httpx2.Timeout(60, connect=15)
    with (
        httpx2.Client(follow_redirects=True, timeout=timeout) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
            return  # the part file is complete: the checksum decides whether it is right
        response.raise_for_status()
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:
            done = 0  # the server does not support ranges
        _write(response, part, done, report)


def _write(response: httpx2.Response, part: Path, done: int, report: TransferReport) -> None:
    left = int(response.headers.get("content-length", 0))
    total = done + left if left else None
    require_space(part.parent, left, f"to download {part.stem}")
    with part.open("ab" if done else "wb") as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            report(done, total)


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code in _TRANSIENT
    return isinstance(error, httpx2.TransportError) and not _is_refusal(error)


def _is_refusal(error: BaseException | None) -> bool:
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code in _REFUSALS
    while error is not None:
        if isinstance(error, (httpx2.ProxyError, ssl.SSLError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _explained(error: httpx2.HTTPError, url: str, name: str) -> Exception:
    host = urlsplit(url).hostname
    if _is_refusal(error):
        return AccessRefused(f"{host} refused {name}: {_reason(error)}")
    if isinstance(error, httpx2.HTTPStatusError) and error.response.status_code in (404, 410):
        return WeightsNotFound(f"{name} is no longer on {host} ({_reason(error)}).")
    return SourceUnreachable(f"cannot download {name} from {host}: {_reason(error)}. The downloaded part is kept; try again to resume.")


def _reason(error: BaseException | None) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return str(error) or type(error).__name__
