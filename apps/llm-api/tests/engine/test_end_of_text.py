import json
from pathlib import Path
from typing import Any

import pytest

from llm_api.engine.errors import EngineError
from llm_api.engine.models.end_of_text import end_of_text_ids


def test_the_ids_of_both_files_end_a_text(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2]}))
    assert end_of_text_ids(tmp_path, 3) == {1, 2, 3}
    assert end_of_text_ids(tmp_path, None) == {1, 2}


@pytest.mark.parametrize("value", [-1, 2**40, 10**30, "x", [None], {"a": 1}, True, 1.5])
def test_an_id_that_cannot_be_a_token_names_its_file(tmp_path: Path, value: Any) -> None:
    with pytest.raises(EngineError, match="config.json: eos_token_id is .*, but must be a token id"):
        end_of_text_ids(tmp_path, value)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": value}))
    with pytest.raises(EngineError, match="generation_config.json: eos_token_id"):
        end_of_text_ids(tmp_path, None)


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"a":' + b"[" * 200_000])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "generation_config.json").write_bytes(content)
    with pytest.raises(EngineError, match="generation_config.json cannot be read"):
        end_of_text_ids(tmp_path, None)
