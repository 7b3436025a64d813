"""make on a new machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
OLD_PYTHON = "#!/bin/sh\nexit 1\n"
PYTHON_WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n'


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=outside, capture_output=True, text=True, check=False)


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def executable(path: Path, script: str) -> str:
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def test_bare_make_lists_every_target_with_its_description() -> None:
    listed = dict(re.findall(r"^  make ([\w-]+) +(\S.*)$", make(ROOT).stdout, re.MULTILINE))
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert declared is not None
    assert set(listed) == set(declared[1].split())


def test_the_documents_name_only_targets_that_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"), ROOT / ".ci" / "run"]
    named = {target for page in pages for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)\b(?=[`\n ])", _commands(page))}
    assert {"serve", "test", "smoke"} <= named
    assert named <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


def _commands(page: Path) -> str:
    """Code only: in prose, `make` is a verb."""
    text = page.read_text(encoding="utf-8")
    return text if page.suffix != ".md" else "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def test_an_old_python_is_refused_in_one_line(bare_clone: Path) -> None:
    old = executable(bare_clone / "python-old", OLD_PYTHON)
    result = make(bare_clone, "serve", f"PYTHON={old}")
    assert result.returncode != 0
    assert (
        f"Python 3.11 or later is required, but {old} is older or missing: install it, or run make PYTHON=/path/to/python" in result.stderr
    )
    assert not (bare_clone / ".venv").exists()


def test_a_python_without_venv_is_refused_in_one_line(bare_clone: Path) -> None:
    crippled = executable(bare_clone / "python-crippled", PYTHON_WITHOUT_VENV)
    result = make(bare_clone, "test", f"PYTHON={crippled}")
    assert result.returncode != 0
    assert f"{crippled} cannot create virtual environments: install its venv package" in result.stderr
    assert not (bare_clone / ".venv").exists()


def test_nothing_is_installed_again_until_a_lock_changes(bare_clone: Path) -> None:
    log = executable(bare_clone / "uv", f'#!/bin/sh\necho "$@" >> {bare_clone}/installs\n')
    (bare_clone / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(log, bare_clone / ".venv" / "bin" / "uv")
    executable(bare_clone / ".venv" / "bin" / "python", "#!/bin/sh\n")
    installs = bare_clone / "installs"
    for _ in range(2):
        assert make(bare_clone, ".venv/.serve").returncode == 0
    once = installs.read_text()
    assert "--require-hashes --requirements requirements/serve.txt" in once
    assert once.count("--editable .") == 1
    make(bare_clone, "--what-if=requirements/serve.txt", ".venv/.serve")
    assert installs.read_text() == once * 2


def test_a_failing_suite_fails_make(bare_clone: Path) -> None:
    for stamp in (".serve", ".dev"):
        (bare_clone / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (bare_clone / ".venv" / stamp).touch()
    for tool in ("uv", "python"):
        executable(bare_clone / ".venv" / "bin" / tool, "#!/bin/sh\n")
    ruff = '#!/bin/sh\n[ "$1" = format ]\n'  # the check fails, the formatting is fine
    executable(bare_clone / ".venv" / "bin" / "ruff", ruff)
    result = make(bare_clone, "lint")
    assert result.returncode != 0
    assert "ok" not in result.stdout
