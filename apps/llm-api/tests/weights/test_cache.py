"""A cached model is built once, and built again if its files have changed."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from weights.conftest import Notes

from llm_api.weights import checksums
from llm_api.weights.cache import Built, ModelCache
from llm_api.weights.disk import disk_errors
from llm_api.weights.errors import CacheNotWritable, WeightsError, WrongChecksum

CONTENT = b"weights " * 1000


class Building:
    """Builds a small model and counts the builds."""

    def __init__(self, fails: int = 0, sha256: dict[str, str] | None = None) -> None:
        self.times, self._fails, self._sha256 = 0, fails, sha256 or {}
        self.found: list[set[str]] = []

    def __call__(self, staging: Path) -> Built:
        self.times += 1
        self.found.append({path.name for path in staging.iterdir()})
        folder = staging / "model"
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(CONTENT)
        if self.times <= self._fails:
            raise WeightsError("interrupted")
        return Built(folder, "commit-1", self._sha256)


@pytest.fixture
def cache(tmp_path: Path, notes: Notes) -> ModelCache:
    return ModelCache(tmp_path / "cache", notes.progress)


@pytest.fixture
def entry(cache: ModelCache) -> Path:
    return cache.entry("org/name", "hf://org/name@main")


def test_it_is_made_once(cache: ModelCache, entry: Path) -> None:
    build = Building()
    for _ in range(3):
        assert cache.obtain(entry, "source", build) == entry
    assert build.times == 1
    assert (entry / "model.safetensors").read_bytes() == CONTENT


def test_different_sources_of_one_name_do_not_mix(cache: ModelCache) -> None:
    assert cache.entry("name", "hf://org/name@v1") != cache.entry("name", "hf://org/name@v2")


def _truncate(file: Path) -> None:
    os.truncate(file, 100)


def _alter(file: Path) -> None:
    file.write_bytes(CONTENT[::-1])


@pytest.mark.parametrize("damage", [_truncate, _alter, Path.unlink])
def test_a_damaged_one_is_made_again(damage: Callable[[Path], None], cache: ModelCache, entry: Path, notes: Notes) -> None:
    build = Building()
    damage(cache.obtain(entry, "source", build) / "model.safetensors")
    cache.obtain(entry, "source", build)
    assert build.times == 2
    assert (entry / "model.safetensors").read_bytes() == CONTENT
    assert "model.safetensors differs from its recorded checksum" in notes.text


def test_a_restored_copy_with_new_times_is_still_good(cache: ModelCache, entry: Path) -> None:
    build = Building()
    cache.obtain(entry, "source", build)
    os.utime(entry / "model.safetensors", (0, 0))
    cache.obtain(entry, "source", build)
    assert build.times == 1


def test_one_of_an_older_format_is_made_again(cache: ModelCache, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Building()
    cache.obtain(entry, "source", build)
    monkeypatch.setattr(checksums, "FORMAT", checksums.FORMAT + 1)
    cache.obtain(entry, "source", build)
    assert build.times == 2


def test_an_intact_one_is_used_without_writing(cache: ModelCache, entry: Path, tmp_path: Path) -> None:
    cache.obtain(entry, "source", Building())
    shutil.rmtree(tmp_path / "cache" / "locks")
    cache.obtain(entry, "source", Building())
    assert not (tmp_path / "cache" / "locks").exists()


def test_a_failed_build_leaves_no_model_and_is_resumed(cache: ModelCache, entry: Path) -> None:
    build = Building(fails=1)
    with pytest.raises(WeightsError):
        cache.obtain(entry, "source", build)
    assert not entry.exists()
    cache.obtain(entry, "source", build)
    assert build.found == [set(), {"model"}]
    assert [path for path in entry.parent.iterdir() if path != entry] == []


def test_a_stale_one_is_made_again(cache: ModelCache, entry: Path) -> None:
    build = Building()
    cache.obtain(entry, "source", build)
    cache.obtain(entry, "source", build, stale=lambda known: known.revision == "commit-1")
    assert build.times == 2


def test_a_file_with_a_wrong_checksum_is_removed(cache: ModelCache, entry: Path) -> None:
    with pytest.raises(WrongChecksum, match="model.safetensors"):
        cache.obtain(entry, "source", Building(sha256={"model.safetensors": "0" * 64}))
    assert not entry.exists()
    assert list(entry.parent.rglob("model.safetensors")) == []


def test_verify_finds_damage_that_the_quick_check_misses(cache: ModelCache, entry: Path, notes: Notes) -> None:
    file = cache.obtain(entry, "source", Building()) / "model.safetensors"
    assert checksums.verify(entry, notes.progress) == 1
    before = file.stat()
    _alter(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WrongChecksum, match=r"model\.safetensors"):
        checksums.verify(entry, notes.progress)
    build = Building()
    cache.obtain(entry, "source", build)
    assert build.times == 1


def test_a_folder_outside_the_cache_has_nothing_to_verify(tmp_path: Path, notes: Notes) -> None:
    with pytest.raises(WeightsError, match="no recorded checksums"):
        checksums.verify(tmp_path, notes.progress)


def test_a_cache_that_cannot_be_written_is_named(notes: Notes) -> None:
    cache = ModelCache(Path("/sys/llm-api"), notes.progress)  # not even root can write there
    with pytest.raises(CacheNotWritable, match="cannot write to /sys/llm-api: .*MODEL_CACHE"):
        cache.obtain(cache.entry("name", "identity"), "source", Building())


@pytest.mark.parametrize("place", ["/dev/null", "/proc", "file/below", "x" * 300])
def test_a_cache_that_cannot_be_a_folder_is_an_error_with_the_setting(notes: Notes, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    cache = ModelCache(tmp_path / place, notes.progress)
    with pytest.raises(CacheNotWritable, match=r"cannot write to .*: .*Set MODEL_CACHE"):
        cache.obtain(cache.entry("name", "identity"), "source", Building())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failing_disk_is_an_error_with_the_setting(tmp_path: Path, number: int) -> None:
    with pytest.raises(WeightsError, match=f"{tmp_path}/absent.*[Ss]et MODEL_CACHE to a"), disk_errors(tmp_path / "absent"):
        raise OSError(number, os.strerror(number))
