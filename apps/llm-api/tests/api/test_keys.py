from pathlib import Path

import pytest
from api.running_server import key_entry
from structlog.testing import capture_logs

from llm_api.api.keys import ApiKey, ApiKeys, ApiKeysError, new_key, parse_keys


def test_a_new_key_matches_its_entry() -> None:
    key, line = new_key("alice")
    assert ApiKeys(line, None).find(key) == ApiKey("alice")
    assert ApiKeys(line, None).find(key + "x") is None
    assert key not in line


def test_keys_of_both_sources_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# team\n{key_entry('alice', 'a-key')}\n\n{key_entry('bob', 'b-key')}\n")
    keys = ApiKeys(f"{key_entry('carol', 'c-key')},{key_entry('dave', 'd-key')}", file)
    assert [(found := keys.find(f"{letter}-key")) and found.name for letter in "abcde"] == ["alice", "bob", "carol", "dave", None]


@pytest.mark.parametrize("text", ["alice", "alice:abc", f"al ice:{'0' * 64}", f"{'0' * 64}", f"alice:{'g' * 64}", f"alice:{'0' * 64}:loud"])
def test_a_malformed_entry_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ApiKeysError, match="entry 2 is not `name:sha256`") as raised:
        parse_keys(f"{key_entry('bob', 'b')}\n{text}", "API_KEYS")
    assert text not in str(raised.value)


def test_a_source_without_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n")
    with pytest.raises(ApiKeysError, match="contain no key"):
        ApiKeys(None, tmp_path / "keys")
    with pytest.raises(ApiKeysError, match="cannot be read"):
        ApiKeys(None, tmp_path / "absent")


def test_a_file_that_stays_unreadable_is_logged_repeatedly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.api.keys.RETRY", 0)
    file = tmp_path / "keys"
    file.write_text(key_entry("alice", "a-key"))
    with capture_logs() as logs:
        keys = ApiKeys(None, file)
        file.unlink()
        assert [keys.find("a-key") for _ in range(3)] == [ApiKey("alice")] * 3
    assert [line["log_level"] for line in logs] == ["error"] * 3
