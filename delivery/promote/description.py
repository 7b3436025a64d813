"""What a promotion's pull request says: the images, the changelog, the forecast, the rendered difference."""

import re
from collections.abc import Iterator
from pathlib import Path

from delivery.diff.changes import changes
from delivery.diff.checkout import rendered_at
from delivery.diff.forecast import forecast
from delivery.git import Git
from delivery.image_pin import ImagePin

IMAGE = ("apps/llm-api", "requirements", "pyproject.toml")
LONGEST = 60_000  # characters; GitHub takes 65,536
COMMITS, SUBJECT = 150, 120  # of each list, and characters: there is room left for what is rendered
NO_SPACE = "\u200b"  # of no width: between # or @ and what follows, where code alone does not help
TICKS = re.compile("`+")


def description(git: Git, old: str | None, new: str, pins: tuple[ImagePin, ImagePin], overlay: str, kustomize: Path) -> str:
    """Markdown. `old`, `new`: the commits whose trees the environment has, if any, and will have. Raises RenderError."""
    before, after = (rendered_at(git, commit, overlay, kustomize) for commit in (old or f"{new}^", new))
    lines = [
        f"{_code(pins[0].tag)} → {_code(pins[1].tag)}",
        "",
        "### What it will do",
        *(f"- {line}" for line in forecast(before, after)),
        "",
        "### In the image",
        *_log(git, pins[0].commit, str(pins[1].commit), *IMAGE),
        "",
        "### Around it",
        *_log(git, old, new, ".", *(f":(exclude){path}" for path in IMAGE)),
        "",
        "### Rendered",
    ]
    text = "\n".join(lines)
    difference = "".join(changes(before, after)) or "(nothing differs)\n"
    room = LONGEST - len(text)
    cut = f"(cut: `python -m delivery diff {overlay} --old {old or 'COMMIT'}` has it all)\n" if len(difference) > room else ""
    return f"{text}\n{_fenced(difference[:room])}{cut}"


def _fenced(difference: str) -> str:
    """A code block whose fence is longer than any in it."""
    fence = "`" * (max([2, *map(len, TICKS.findall(difference))]) + 1)
    return f"{fence}diff\n{difference.rstrip()}\n{fence}\n"


def _code(text: str) -> str:
    """What others wrote, as text and nothing else: it closes no issue, calls nobody, and ends no block, here or in a squashed commit."""
    inert = re.sub(r"([#@])(?=\w)", f"\\1{NO_SPACE}", text)
    ticks = "`" * (max([0, *map(len, TICKS.findall(inert))]) + 1)
    space = " " if "`" in inert else ""
    return f"{ticks}{space}{inert}{space}{ticks}"


def _log(git: Git, old: str | None, new: str, *paths: str) -> Iterator[str]:
    if old is None or not git.knows(old):
        yield "- everything: nothing that history knows was here before"
        return
    subjects = git("log", "--no-merges", f"--max-count={COMMITS}", "--format=%h %s", f"{old}..{new}", "--", *paths).splitlines()
    for line in subjects:
        commit, _, subject = line.partition(" ")
        yield f"- {_code(subject[:SUBJECT])} ({commit})"
    yield from [] if subjects else ["- nothing"]
