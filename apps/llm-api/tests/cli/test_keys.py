"""Keys are made, listed and checked. Only their hashes are stored."""

import hashlib
import os
from pathlib import Path

import pytest
from cli.commands import run_cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


def make(name: str, file: Path) -> str:
    result = run_cli("keys", "new", name, "--file", str(file))
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_new_key_is_shown_with_its_entry() -> None:
    result = run_cli("keys", "new", "alice")
    key, entry = result.stdout.splitlines()
    assert key.startswith("sk-")
    assert entry == f"alice:{hashlib.sha256(key.encode()).hexdigest()}"


def test_keys_are_unique() -> None:
    assert run_cli("keys", "new", "a").stdout != run_cli("keys", "new", "a").stdout


def test_a_key_file_holds_hashes_that_its_owner_alone_may_read(file: Path) -> None:
    keys = {name: make(name, file) for name in ("alice", "bob")}
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().splitlines() == [f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in keys.items()]


def test_an_entry_is_added_after_a_last_line_without_an_end(file: Path) -> None:
    file.write_text("alice:" + "0" * 64)
    make("bob", file)
    assert [line.split(":")[0] for line in file.read_text().splitlines()] == ["alice", "bob"]


def test_a_file_keeps_its_mode(file: Path) -> None:
    file.touch(0o640)
    os.chmod(file, 0o640)
    make("alice", file)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_name_that_is_in_use_is_refused(file: Path) -> None:
    make("alice", file)
    before = file.read_text()
    result = run_cli("keys", "new", "alice", "--file", str(file))
    assert result.exit_code == 78
    assert "already has a key named alice" in result.stderr
    assert result.stdout == ""
    assert file.read_text() == before


@pytest.mark.parametrize("name", ["a b", "a:b", "a,b", "", "x" * 65])
def test_a_bad_name_is_refused(name: str) -> None:
    result = run_cli("keys", "new", name)
    assert result.exit_code == 78
    assert "1 to 64 letters" in result.stderr
    assert result.stdout == ""


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    result = run_cli("keys", "new", "alice", "--file", str(tmp_path / "nothing" / "keys.txt"))
    assert result.exit_code == 78
    assert "cannot add to" in result.stderr
    assert result.stdout == ""


def test_names_are_listed_without_keys(file: Path) -> None:
    key = make("alice", file)
    make("bob", file)
    result = run_cli("keys", "list", env={"API_KEYS_FILE": str(file), "API_KEYS": f"carol:{'0' * 64}"})
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["alice", "bob", "carol"]
    assert key not in result.output


def test_a_key_is_checked_from_stdin(file: Path) -> None:
    key = make("alice", file)
    assert run_cli("keys", "check", "--file", str(file), stdin=f"{key}\n").stdout.strip() == "alice"
    unknown = run_cli("keys", "check", "--file", str(file), stdin="sk-other\n")
    assert (unknown.exit_code, unknown.stderr) == (1, "llm-api: this key is not accepted\n")


def test_without_keys_the_error_names_the_settings() -> None:
    result = run_cli("keys", "list", env={"API_KEYS_FILE": None, "API_KEYS": None})
    assert result.exit_code == 78
    assert "set API_KEYS_FILE or API_KEYS" in result.stderr


def test_a_malformed_file_is_named_without_its_content(file: Path) -> None:
    file.write_text("sk-a-key-by-mistake\n")
    result = run_cli("keys", "list", "--file", str(file))
    assert result.exit_code == 78
    assert "entry 1 is not `name:sha256`" in result.stderr
    assert "mistake" not in result.output
