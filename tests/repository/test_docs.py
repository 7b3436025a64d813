"""README, docs/ and the other pages agree with the code, and their links have targets."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from llm_api.settings import Settings
from llm_api.weights.errors import WeightsError
from proxy.settings import ProxySettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FRONT_PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
READMES = [*FRONT_PAGES, ROOT / "platform/README.md", *sorted(ROOT.glob("clusters/*/README.md"))]
SITE = sorted(DOCS.glob("**/*.md"))
PAGES = [*READMES, *SITE]
GENERATE = [sys.executable, "-m", "tools.docs"]
REPOSITORY = "https://github.com/example/llm-api/blob/main/"
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"<!-- ([a-z0-9-]+):begin -->.*<!-- \1:end -->", re.DOTALL)
SOURCE = re.compile(r"`([\w./-]+\.(?:py|h|cpp))`")
LONGEST = 100  # columns


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GENERATE, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_source_file_that_a_page_names_exists() -> None:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    named = {(page.name, name) for page in PAGES for name in SOURCE.findall(text_of(page))}
    assert named
    missing = [(page, name) for page, name in named if not any(f"/{path}".endswith(f"/{name}") for path in tracked)]
    assert missing == []


def test_generated_sections_are_current() -> None:
    result = generate("--check")
    assert result.returncode == 0, result.stderr


def test_an_outdated_section_fails_and_is_updated(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shutil.copytree(DOCS, folder)
    page = folder / "reference" / "settings.md"
    page.write_text(text_of(page).replace("| `PORT` | `8000` |", "| `PORT` | `80` |"), encoding="utf-8")
    stale = generate("--check", folder)
    assert stale.returncode == 1
    assert stale.stderr.splitlines() == [f"{page} is not current: run `make docs`"]
    assert generate(folder).returncode == 0
    assert text_of(page) == text_of(DOCS / "reference" / "settings.md")


def test_the_settings_table_names_every_variable_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| [^|]*\| ([^\n]+) \|$", text_of(DOCS / "reference" / "settings.md"), re.MULTILINE))
    assert set(rows) == {name.upper() for name in Settings.model_fields}
    assert all(len(meaning) > 10 for meaning in rows.values())


def test_the_page_on_nginx_names_every_setting() -> None:
    named = set(re.findall(r"`([A-Z_]+)`", text_of(DOCS / "proxy.md")))
    assert {name.upper() for name in ProxySettings.model_fields} <= named


def test_the_metrics_table_has_labels_and_types() -> None:
    page = text_of(DOCS / "reference" / "metrics.md")
    assert "| `llm_request_success_total` | counter | `finished_reason` |" in page
    assert "| `llm_api_keys_loaded` | gauge |" in page


@pytest.mark.parametrize("page", READMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_pages_outside_the_site_have_targets(page: Path) -> None:
    """`make site` checks the links within docs/."""
    local = [link for link in links(page) if "://" not in link]
    assert [link for link in local if not leads_somewhere(page.parent, link, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_the_repository_on_github_have_targets(page: Path) -> None:
    paths = [link.removeprefix(REPOSITORY) for link in links(page) if link.startswith(REPOSITORY)]
    assert [path for path in paths if not leads_somewhere(ROOT, path, page)] == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n\n[one](page.md#a-title) [two](page.md#no-title) [three](missing.md)\n")
    assert [link for link in links(page) if not leads_somewhere(tmp_path, link, page)] == ["page.md#no-title", "missing.md"]


def links(page: Path) -> list[str]:
    return LINK.findall(FENCED.sub("", text_of(page)))


def leads_somewhere(folder: Path, link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = folder / path if path else page
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*FRONT_PAGES, *SITE], ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_at_most_100_columns_wide(page: Path) -> None:
    prose = FENCED.sub("", GENERATED.sub("", text_of(page)))
    lines = [line for line in prose.splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if len(line) > LONGEST and " " in line.strip()[:LONGEST]] == []


def test_the_site_builds_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    result = subprocess.run(build, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    pages = sorted(tmp_path.glob("**/*.html"))
    assert len(pages) >= len(SITE)
    assert {url for page in pages for url in loaded(text_of(page))} == set()


def loaded(html: str) -> Iterator[str]:
    """URLs that a browser loads from other hosts to show the page. Targets of links and namespaces of SVG are not among them."""
    yield from re.findall(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'> ]+)""", html)
    yield from re.findall(r"""<link\b[^>]*\brel=["']?(?:stylesheet|preconnect|icon)\b[^>]*\bhref=["']?((?:https?:)?//[^"'> ]+)""", html)
    yield from re.findall(r"""<link\b[^>]*\bhref=["']?((?:https?:)?//[^"'> ]+)[^>]*\brel=["']?(?:stylesheet|preconnect|icon)\b""", html)


def test_every_test_folder_is_explained() -> None:
    folders = {f"tests/{path.parent.name}" for tests in (ROOT / "tests", ROOT / "apps/llm-api/tests") for path in tests.glob("*/test_*.py")}
    explained = set(re.findall(r"`(tests/[a-z_]+)`", text_of(DOCS / "development.md")))
    assert folders <= explained


def test_the_runbook_has_a_section_for_every_alert() -> None:
    rules = yaml.safe_load(text_of(ROOT / "components/monitoring/prometheusrule.yaml"))["spec"]["groups"]
    alerts = [rule for group in rules for rule in group["rules"] if "alert" in rule]
    assert alerts
    sections = anchors(DOCS / "runbook.md")
    assert {rule["annotations"]["runbook_url"].partition("#")[2] for rule in alerts} <= sections
    assert {rule["alert"].lower() for rule in alerts} <= sections


def test_the_runbook_lists_every_exit_code() -> None:
    listed = set(re.findall(r"^\| (\d+)", text_of(DOCS / "runbook.md"), re.MULTILINE))
    failures: list[type[WeightsError]] = [WeightsError, *WeightsError.__subclasses__()]
    assert {str(failure.exit_code) for failure in failures} <= listed
    assert {str(code) for code in (os.EX_OK, os.EX_OSERR, os.EX_CONFIG, 1, 2)} <= listed


def test_code_owners_are_of_paths_that_exist() -> None:
    lines = [line for line in text_of(ROOT / ".github/CODEOWNERS").splitlines() if line.strip() and not line.startswith("#")]
    paths = [line.split()[0] for line in lines]
    assert paths[0] == "*"
    assert [path for path in paths[1:] if not (ROOT / path.strip("/")).is_dir()] == []
