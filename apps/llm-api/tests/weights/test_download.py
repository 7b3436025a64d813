"""A download resumes where it stopped, and only a file with the right checksum is kept."""

import hashlib
import random
from pathlib import Path

import pytest
from weights.conftest import Notes
from weights.file_server import FileServer

from llm_api.weights.errors import DiskFull, SourceUnreachable, WeightsNotFound, WrongChecksum
from llm_api.weights.sources.download import AccessRefused, Downloader

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(server: FileServer) -> str:
    server.files["/m.bin"] = CONTENT
    return f"{server.url}/m.bin"


def downloader(notes: Notes, attempts: int = 1) -> Downloader:
    return Downloader(notes.progress, attempts, longest_wait=0)


def test_an_interrupted_run_is_resumed_by_the_next(server: FileServer, file: str, notes: Notes, tmp_path: Path) -> None:
    target, part = tmp_path / "m.bin", tmp_path / "m.bin.part"
    server.cuts = [1_000_000]
    with pytest.raises(SourceUnreachable, match="The downloaded part is kept"):
        downloader(notes).fetch(file, target, SHA256)
    kept = part.stat().st_size
    assert 0 < kept <= 1_000_000
    assert not target.exists()
    downloader(notes).fetch(file, target, SHA256)
    assert server.ranges_of("/m.bin") == [None, f"bytes={kept}-"]
    assert target.read_bytes() == CONTENT
    assert not part.exists()


def test_broken_connections_are_retried_in_the_same_run(server: FileServer, file: str, notes: Notes, tmp_path: Path) -> None:
    server.cuts = [500_000, 700_000]
    downloader(notes, attempts=3).fetch(file, tmp_path / "m.bin", SHA256)
    assert (tmp_path / "m.bin").read_bytes() == CONTENT
    assert notes.text.count("retrying") == 2
    assert server.sent["/m.bin"] < 1.1 * len(CONTENT)


def test_a_server_without_ranges_is_read_from_the_start(server: FileServer, file: str, notes: Notes, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [1_000_000]
    downloader(notes, attempts=2).fetch(file, tmp_path / "m.bin", SHA256)
    assert (tmp_path / "m.bin").read_bytes() == CONTENT


def test_a_complete_part_file_is_only_checked(server: FileServer, file: str, notes: Notes, tmp_path: Path) -> None:
    (tmp_path / "m.bin.part").write_bytes(CONTENT)
    downloader(notes).fetch(file, tmp_path / "m.bin", SHA256)
    assert (tmp_path / "m.bin").read_bytes() == CONTENT
    assert server.sent.get("/m.bin", 0) == 0


def test_a_wrong_checksum_names_both_and_removes_the_file(file: str, notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(WrongChecksum) as raised:
        downloader(notes).fetch(file, tmp_path / "m.bin", "0" * 64)
    assert "0" * 64 in str(raised.value)
    assert SHA256 in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_larger_than_the_disk_is_refused_before_writing(server: FileServer, file: str, notes: Notes, tmp_path: Path) -> None:
    server.headers["/m.bin"] = {"content-length": str(2**60)}
    with pytest.raises(DiskFull, match=r"needs 1048576\.0 TiB, .* free in .*MODEL_CACHE"):
        downloader(notes).fetch(file, tmp_path / "m.bin", SHA256)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which behaves like a disk that fills up")
def test_a_disk_that_fills_up_is_named(file: str, notes: Notes, tmp_path: Path) -> None:
    (tmp_path / "m.bin.part").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=f"the disk of {tmp_path} is full.*MODEL_CACHE") as raised:
        downloader(notes).fetch(file, tmp_path / "m.bin", SHA256)
    assert raised.value.exit_code == 74


@pytest.mark.parametrize(
    ("status", "error", "line"),
    [(404, WeightsNotFound, "no longer on 127.0.0.1"), (503, SourceUnreachable, "HTTP 503"), (401, AccessRefused, "HTTP 401")],
)
def test_each_refusal_has_its_own_line(
    status: int, error: type[Exception], line: str, server: FileServer, file: str, notes: Notes, tmp_path: Path
) -> None:
    server.statuses["/m.bin"] = status
    with pytest.raises(error, match=line):
        downloader(notes).fetch(file, tmp_path / "m.bin", SHA256)


def test_an_unreachable_server_is_reported_in_one_line(notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match=r"cannot download m\.bin from 127\.0\.0\.1"):
        downloader(notes, attempts=2).fetch("http://127.0.0.1:9/m.bin", tmp_path / "m.bin", SHA256)
