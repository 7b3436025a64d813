"""Generated Markdown: tables, and the sections of a file between `<!-- name:begin -->` and `<!-- name:end -->`."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def replace_section(text: str, name: str, body: str) -> str:
    """Replaces the section. A text without its markers gets it at the end. Raises ValueError for a section without an end."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n{body.strip()}\n{end}"
    before, found, rest = text.partition(begin)
    if not found:
        return f"{text.rstrip()}\n\n{section}\n".lstrip()
    _, closed, after = rest.partition(end)
    if not closed:
        raise ValueError(f"{begin} has no {end} after it")
    return f"{before}{section}{after}"
