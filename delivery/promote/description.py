"""What a promotion's pull request says: the images, the changelog, the forecast, the rendered difference."""

from collections.abc import Iterator
from pathlib import Path

from delivery.diff.changes import changes
from delivery.diff.checkout import rendered_at
from delivery.diff.forecast import forecast
from delivery.git import Git
from delivery.image_pin import ImagePin

IMAGE = ("apps/llm-api", "requirements", "pyproject.toml")
LONGEST = 60_000  # characters; GitHub takes 65,536


def description(git: Git, old: str | None, new: str, pins: tuple[ImagePin, ImagePin], overlay: str, kustomize: Path) -> str:
    """Markdown. `old`, `new`: the commits whose trees the environment has, if any, and will have. Raises RenderError."""
    before, after = (rendered_at(git, commit, overlay, kustomize) for commit in (old or f"{new}^", new))
    lines = [
        f"`{pins[0].tag}` → `{pins[1].tag}`",
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
        "```diff",
        *("".join(changes(before, after)) or "(nothing differs)").splitlines(),
    ]
    text = "\n".join(lines)
    cut = (
        text
        if len(text) <= LONGEST
        else text[:LONGEST] + f"\n(cut: `python -m delivery diff {overlay} --old {old or 'COMMIT'}` has it all)"
    )
    return cut + "\n```\n"


def _log(git: Git, old: str | None, new: str, *paths: str) -> Iterator[str]:
    if old is None or not git.knows(old):
        yield "- everything: nothing that history knows was here before"
        return
    subjects = git("log", "--no-merges", "--max-count=200", "--format=- %s (%h)", f"{old}..{new}", "--", *paths).splitlines()
    yield from subjects or ["- nothing"]
