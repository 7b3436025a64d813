"""Failing remotes: unreachable ones are retried, refusals are not, and no message contains a token."""

import base64
import stat
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from bump.conftest import IMAGE, digest, options
from bump.delivery_process import as_process, in_process
from bump.repositories import FILE, Remote, git

from delivery.bump import Bump
from delivery.git.clone import GitError, reason, redacted
from delivery.git.remote import TRIES, Git, Unreachable, of_network

TOKEN = "t0ken-of-a-user"


@pytest.fixture
def forbidding() -> Iterator[tuple[str, list[str]]]:
    """The URL of a server that rejects every request, and the credentials that it received."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("authorization", ""))
            self.send_response(401 if not asked[-1] else 403)
            self.send_header("www-authenticate", 'Basic realm="git"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}/org/llm-api.git", asked
        server.shutdown()


def flaky_ssh(remote: Remote, failures: int, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A remote over ssh whose first connections fail. Returns its URL, and the log with one line per attempt."""
    script, log = remote.bare.parent / "ssh", remote.bare.parent / "connections"
    script.write_text(
        f"#!/bin/sh\necho $2 >> {log}\n"
        f'[ "$(wc -l < {log})" -gt {failures} ] || {{ echo "ssh: connect to host git port 22: Connection refused" >&2; exit 255; }}\n'
        'for command; do :; done; exec sh -c "$command"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("GIT_SSH", str(script))
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")
    return f"git:{remote.bare}", log


def test_a_short_outage_is_retried(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    clone, commit = remote.clone("ci"), remote.head
    address, log = flaky_ssh(remote, 2, monkeypatch)
    said = Bump(Git(clone, address, "main", pause=0.01), FILE, IMAGE, digest(commit), commit).run()
    assert said.startswith("bumped ")
    assert len(log.read_text().splitlines()) == 4, "two failures, one ls-remote, one push"


def test_a_longer_outage_ends_with_the_reason(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = remote.clone("ci")
    address, log = flaky_ssh(remote, 99, monkeypatch)
    with pytest.raises(Unreachable, match="Connection refused"):
        Git(clone, address, "main", pause=0.01).fetch()
    assert len(log.read_text().splitlines()) == TRIES


def test_a_refusal_is_not_retried_and_is_reported(remote: Remote, forbidding: tuple[str, list[str]]) -> None:
    address, asked = forbidding
    with pytest.raises(GitError, match=r"could not read Username for 'http://127\.0\.0\.1"):
        Git(remote.clone("ci"), f"http://{address}", "main").fetch()
    assert asked == [""]


def test_no_token_is_printed(remote: Remote, forbidding: tuple[str, list[str]]) -> None:
    address, asked = forbidding
    said = as_process(remote.clone("ci"))("bump", *options(remote.head), "--remote", f"http://user:{TOKEN}@{address}")
    assert said.code == 1
    assert TOKEN not in said.out + said.err
    assert f"{address}/': The requested URL returned error: 403" in said.err
    assert base64.b64encode(f"user:{TOKEN}".encode()).decode() in asked[-1], "otherwise the token was never used"


@pytest.mark.parametrize("more", [("--branch", "nope"), ("--branch", "main", "--digest", "wrong")])
def test_no_token_is_printed_when_the_remote_answers(remote: Remote, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    clone, address = remote.clone("ci"), f"https://user:{TOKEN}@host/llm-api.git"
    git(clone, "config", f"url.{remote.bare}.insteadOf", address)
    said = in_process(clone, monkeypatch)("bump", *options(remote.head), "--remote", address, *more)
    assert (said.code, TOKEN in said.err) == (1, False)
    remote.hook("pre-receive", "echo error: no; exit 1")
    said = in_process(clone, monkeypatch)("bump", *options(remote.head), "--remote", address)
    assert said.err.startswith("delivery: https://***@host/llm-api.git refuses a push to main: ")


@pytest.mark.parametrize("option", ["--remote", "--branch", "--commit"])
def test_a_name_is_never_passed_as_an_option_of_git(remote: Remote, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    said = in_process(remote.clone("ci"), monkeypatch)("bump", *options(remote.head), f"{option}=--upload-pack=touch {ran};")
    assert (said.code, "must not be empty or begin with a dash" in said.err) == (1, True)
    assert not ran.exists()


def test_comparing_with_an_unknown_commit_is_an_error(remote: Remote) -> None:
    with pytest.raises(GitError, match="merge-base"):
        Git(remote.clone("ci"), "origin", "main").is_ancestor("1" * 40, remote.head)


def test_a_commit_that_another_process_has_fetched_in_part_is_fetched(remote: Remote) -> None:
    clone, head = remote.clone("ci"), remote.merge("second")
    text = subprocess.run(["git", "-C", remote.bare, "cat-file", "commit", head], capture_output=True, check=True).stdout
    subprocess.run(["git", "-C", clone, "hash-object", "-t", "commit", "-w", "--stdin"], input=text, capture_output=True, check=True)
    found = Git(clone, "origin", "main")
    assert found.read(found.fetch(), "code.txt") == "second"


def test_a_branch_is_not_confused_with_one_whose_name_ends_with_it(remote: Remote) -> None:
    git(remote.work, "checkout", "-q", "--orphan", "other")
    git(remote.work, "commit", "-q", "-m", "other")
    git(remote.work, "push", "-q", "origin", "HEAD:refs/heads/a/refs/heads/main")
    assert Git(remote.clone("ci"), "origin", "main").fetch() == remote.head


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("fatal: unable to access 'https://u:p@ss/w@host/r.git/': no\nhint: x", "fatal: unable to access 'https://***@host/r.git/': no"),
        ("remote: see https://docs.example.com/protected\nerror: failed", "see https://docs.example.com/protected; error: failed"),
        ("", "git printed no reason"),
    ],
)
def test_the_reason_is_kept_and_the_token_removed(printed: str, why: str) -> None:
    assert reason(printed) == why
    assert redacted(redacted(printed)) == redacted(printed)


@pytest.mark.parametrize(
    ("printed", "again"),
    [
        ("fatal: unable to access 'https://host/r.git/': Could not resolve host: host", True),
        ("fatal: unable to access 'https://host/r.git/': The requested URL returned error: 503", True),
        ("error: RPC failed; curl 56 Recv failure\nfatal: the remote end hung up unexpectedly", True),
        ("error: RPC failed; HTTP 403 curl 22\nfatal: the remote end hung up unexpectedly", False),
        ("remote: the policy check timed out\nerror: failed to push some refs", False),
        ("git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.", False),
    ],
)
def test_only_network_failures_are_retried(printed: str, again: bool) -> None:
    assert of_network(printed) is again
