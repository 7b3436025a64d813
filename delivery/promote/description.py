"""The text of a promotion's pull request: images, forecast, changelog and rendered diff."""

import re
from collections.abc import Iterator
from pathlib import Path

from delivery.diff.changes import changes, rendered_at
from delivery.diff.forecast import forecast
from delivery.git.remote import Git
from delivery.overlay_image import ImagePin

IMAGE = ("apps/llm-api", "requirements", "pyproject.toml")
LONGEST = 60_000  # characters; GitHub's limit is 65,536
COMMITS, SUBJECT = 150, 120  # commits per list, characters per subject: leaves room for the rendered diff
NO_SPACE = "\u200b"  # zero-width: goes after # and @, because code formatting alone does not stop references
TICKS = re.compile("`+")


def description(git: Git, old: str | None, new: str, pins: tuple[ImagePin, ImagePin], overlay: str, kustomize: Path) -> str:
    """Returns Markdown. `old`, `new`: the commits that the environment runs (None before its first release) and will run.

    Raises RenderError.
    """
    before, after = (rendered_at(git, commit, overlay, kustomize) for commit in (old or f"{new}^", new))
    lines = [
        f"{_code(pins[0].tag)} → {_code(pins[1].tag)}",
        "",
        "### What the rollout will do",
        *(f"- {line}" for line in forecast(before, after)),
        "",
        "### Commits in the image",
        *_log(git, pins[0].commit, str(pins[1].commit), *IMAGE),
        "",
        "### Commits outside the image",
        *_log(git, old, new, ".", *(f":(exclude){path}" for path in IMAGE)),
        "",
        "### Rendered diff",
    ]
    text = "\n".join(lines)
    difference = "".join(changes(before, after)) or "(no difference)\n"
    room = LONGEST - len(text)
    cut = f"(truncated: `python -m delivery diff {overlay} --old {old or 'COMMIT'}` shows all of it)\n" if len(difference) > room else ""
    return f"{text}\n{_fenced(difference[:room])}{cut}"


def _fenced(difference: str) -> str:
    """A code block whose fence is longer than any fence inside it."""
    fence = "`" * (max([2, *map(len, TICKS.findall(difference))]) + 1)
    return f"{fence}diff\n{difference.rstrip()}\n{fence}\n"


def _code(text: str) -> str:
    """Text of others as inert code: it closes no issue, mentions no user and ends no block, here and in a squashed commit."""
    inert = re.sub(r"([#@])(?=\w)", f"\\1{NO_SPACE}", text)
    ticks = "`" * (max([0, *map(len, TICKS.findall(inert))]) + 1)
    space = " " if "`" in inert else ""
    return f"{ticks}{space}{inert}{space}{ticks}"


def _log(git: Git, old: str | None, new: str, *paths: str) -> Iterator[str]:
    if old is None or not git.knows(old):
        yield "- all commits: the environment has no earlier image in the history"
        return
    subjects = git("log", "--no-merges", f"--max-count={COMMITS}", "--format=%h %s", f"{old}..{new}", "--", *paths).splitlines()
    for line in subjects:
        commit, _, subject = line.partition(" ")
        yield f"- {_code(subject[:SUBJECT])} ({commit})"
    yield from [] if subjects else ["- none"]
