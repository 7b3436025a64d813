"""`llm-api serve`, as a process: it gets the model, announces that it is ready, and shuts down in order."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from cli.commands import run_cli
from openai import OpenAI
from rich.console import Console
from weights.tiny_models import write_folder, write_gguf

from llm_api.cli.announcement import Announcement


@contextmanager
def serving(stderr: int = subprocess.PIPE, /, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "llm_api", "serve", "--port", "0"]
    with subprocess.Popen(command, env=os.environ | environment, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def logged_until(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    for line in process.stderr or ():
        said: dict[str, Any] = json.loads(line)
        if said["event"] == event:
            return said
    raise AssertionError(f"the service ended with {process.wait()} before {event!r}")


def test_the_announced_command_works(tmp_path: Path) -> None:
    model = write_folder(tmp_path / "tiny", max_position_embeddings=256)
    with serving(MODEL_PATH=str(model), MODEL_NAME="org/chat", LAME_DUCK_SECONDS="0") as process:
        ready = logged_until(process, "ready")
        assert ready["docs"] == f"{ready['url']}/docs"
        client = OpenAI(base_url=f"{ready['url']}/v1", api_key="none", max_retries=0)
        answer = client.chat.completions.create(model="org/chat", messages=[{"role": "user", "content": "Hi"}], max_tokens=4)
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        copied = subprocess.run(ready["curl"].replace("curl ", "curl -sf ", 1), shell=True, capture_output=True, check=True)  # noqa: S602
        assert json.loads(copied.stdout)["model"] == "org/chat"
        process.terminate()
        assert process.wait(timeout=20) == 0


CONVERTING = "converting m.gguf: loading the libraries"


@pytest.fixture
def converting(tmp_path: Path) -> dict[str, str]:
    """The environment of a service that must convert its model first."""
    return {"MODEL_PATH": str(write_gguf(tmp_path / "m.gguf")), "MODEL_CACHE": str(tmp_path / "cache")}


def test_progress_is_plain_lines_and_a_signal_ends_the_conversion(converting: dict[str, str], tmp_path: Path) -> None:
    with serving(**converting) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline().rstrip() for _ in range(3)]
        assert lines == ["converting m.gguf", "converting m.gguf: reading the file", CONVERTING]
        process.terminate()
        assert process.wait(timeout=20) == 128 + 15
    assert not list((tmp_path / "cache" / "models").glob("m-*"))


def test_progress_is_log_records_with_log_format_json(converting: dict[str, str]) -> None:
    with serving(**converting, LOG_FORMAT="json") as process:
        assert logged_until(process, CONVERTING)["logger"] == "llm_api.weights"


def test_progress_is_a_bar_on_a_terminal(converting: dict[str, str]) -> None:
    terminal, stderr = pty.openpty()
    with serving(stderr, **converting, COLUMNS="120", TERM="xterm"):
        os.close(stderr)
        shown = ""
        while CONVERTING not in shown:
            shown += os.read(terminal, 1 << 16).decode(errors="replace")
    os.close(terminal)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)  # colours and cursor movements
    assert "converting m.gguf: reading the file ━━━" in shown
    assert "converting m.gguf: reading the file\r\n" not in shown


@pytest.mark.parametrize(
    ("environment", "exit_code", "reason"),
    [
        ({"HOST": "0.0.0.0"}, 78, "API_KEYS_FILE"),  # noqa: S104
        ({"HOST": "192.0.2.1", "ALLOW_ANONYMOUS": "1", "MODEL_PATH": "tiny"}, 71, "Cannot listen on 192.0.2.1"),
        ({"MODEL_PATH": "/nothing"}, 66, "/nothing does not exist"),
        ({"MODEL_PATH": "tiny", "MAX_MODEL_LEN": "65"}, 78, "set at most 64"),
        ({"MODEL_PATH": "wide"}, 65, "embed_tokens.weight is [260, 32], but [260, 64]"),
    ],
)
def test_a_failed_start_is_one_log_record(tmp_path: Path, environment: dict[str, str], exit_code: int, reason: str) -> None:
    models = {"tiny": write_folder(tmp_path / "tiny"), "wide": write_folder(tmp_path / "wide", hidden_size=64)}
    path = environment.get("MODEL_PATH", "tiny")
    with serving(**environment | {"MODEL_PATH": str(models.get(path, path))}) as process:
        _, stderr = process.communicate(timeout=60)
    (said,) = map(json.loads, stderr.splitlines())
    assert process.returncode == exit_code
    assert (said["level"], said["event"]) == ("error", "not started")
    assert reason in said["reason"]


def test_a_chat_template_that_does_not_parse_exits_with_65(tmp_path: Path) -> None:
    model = write_folder(tmp_path / "tiny")
    (model / "chat_template.jinja").write_text("{% for message in messages %}")
    with serving(MODEL_PATH=str(model)) as process:
        reason = logged_until(process, "not started")["reason"]
        assert reason.startswith(f"{model}: the model's chat template is not valid: Unexpected end of template.")
        assert process.wait(timeout=20) == 65


def test_a_setting_that_the_engine_rejects_exits_with_78(tmp_path: Path) -> None:
    with serving(MODEL_PATH=str(write_folder(tmp_path / "tiny")), KV_CACHE_MEMORY="1000") as process:
        assert "raise KV_CACHE_MEMORY" in logged_until(process, "the model cannot serve any more")["reason"]
        assert process.wait(timeout=20) == 78


def test_a_model_that_the_engine_refuses_exits_with_65(tmp_path: Path) -> None:
    with serving(MODEL_PATH=str(write_folder(tmp_path / "tiny", model_type="unheard_of"))) as process:
        assert "unheard_of" in logged_until(process, "the model cannot serve any more")["reason"]
        assert process.wait(timeout=20) == 65


def test_an_engine_that_is_killed_while_loading_exits_with_1(tmp_path: Path) -> None:
    with serving(MODEL_PATH=str(write_folder(tmp_path / "tiny"))) as process:
        logged_until(process, "listening")
        while not (engines := psutil.Process(process.pid).children()):
            time.sleep(0.01)
        engines[0].kill()
        assert "SIGKILL" in logged_until(process, "the model cannot serve any more")["reason"]
        assert process.wait(timeout=20) == 1


def test_on_a_terminal_the_curl_line_stays_in_one_piece() -> None:
    screen = StringIO()
    announcement = Announcement("[org]/chat", "http://127.0.0.1:8000", needs_key=True)
    announcement.print(Console(file=screen, force_terminal=True, color_system=None, width=40))
    assert announcement.curl in screen.getvalue().splitlines()[-1]
    assert '-H "authorization: Bearer $API_KEY"' in announcement.curl


def test_an_unknown_option_is_refused() -> None:
    assert run_cli("serve", "--prot", "1").exit_code == 2


def test_the_curl_line_of_a_model_with_a_quote_in_its_name_is_one_command() -> None:
    words = shlex.split(Announcement("O'Hara's model", "http://127.0.0.1:1", needs_key=False).curl)
    assert json.loads(words[-1])["model"] == "O'Hara's model"
