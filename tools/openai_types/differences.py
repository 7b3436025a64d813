"""Compares two shapes and lists their differences."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.openai_types.shape import ANY_VALUE, Field, Shape

HERE, THEIRS = "here", "in OpenAI's"


@dataclass(frozen=True, order=True)
class Difference:
    part: str  # of the API, such as "chat request"
    path: str  # of the field in it
    what: str

    @property
    def key(self) -> str:
        """The name in reasons.yaml."""
        return f"{self.path}: {self.what}"


def compare(part: str, path: str, theirs: Shape, ours: Shape) -> Iterator[Difference]:
    for kind in sorted(theirs.types - ours.types):
        yield Difference(part, path or "(all)", f"{kind} only {THEIRS}")
    for kind in sorted(ours.types - theirs.types):
        yield Difference(part, path or "(all)", f"{kind} only {HERE}")
    yield from _compare_values(part, path, theirs, ours)
    yield from _compare_objects(part, path, theirs, ours)
    if theirs.items and ours.items:
        yield from compare(part, f"{path}[]", theirs.items, ours.items)


def _compare_values(part: str, path: str, theirs: Shape, ours: Shape) -> Iterator[Difference]:
    """Compares listed values where both shapes list some. A type that only one of them has is a difference of types instead."""
    if not (theirs.values and ours.values):
        return
    if ANY_VALUE not in theirs.values | ours.values:
        yield from (Difference(part, path, f"`{value}` only {THEIRS}") for value in sorted(theirs.values - ours.values))
        yield from (Difference(part, path, f"`{value}` only {HERE}") for value in sorted(ours.values - theirs.values))
    elif (ANY_VALUE in theirs.values) != (ANY_VALUE in ours.values):
        listed = ours if ANY_VALUE in theirs.values else theirs
        values = ", ".join(f"`{value}`" for value in sorted(listed.values))
        yield Difference(part, path, f"no value but {values} {HERE if listed is ours else THEIRS}")


def _compare_objects(part: str, path: str, theirs: Shape, ours: Shape) -> Iterator[Difference]:
    if not (theirs.objects and ours.objects):
        return
    several = len(theirs.objects) > 1 or len(ours.objects) > 1
    for tag in sorted(theirs.objects.keys() | ours.objects.keys()):
        at = f"{path}[{tag}]".replace("[][", "[") if several else path
        if tag not in ours.objects:
            yield Difference(part, at, f"only {THEIRS}")
        elif tag not in theirs.objects:
            yield Difference(part, at, f"only {HERE}")
        else:
            yield from _compare_fields(part, at, theirs.objects[tag], ours.objects[tag], tag.partition("=")[0] if several else "")


def _compare_fields(part: str, path: str, theirs: dict[str, Field], ours: dict[str, Field], tag: str) -> Iterator[Difference]:
    """`tag`: the field whose value matched these two objects."""
    for name in sorted((theirs.keys() | ours.keys()) - {tag}):
        at = f"{path}.{name}" if path else name
        if name not in ours:
            yield Difference(part, at, f"only {THEIRS}")
        elif name not in theirs:
            yield Difference(part, at, f"only {HERE}")
        else:
            if theirs[name].required != ours[name].required:
                yield Difference(part, at, f"required only {HERE if ours[name].required else THEIRS}")
            yield from compare(part, at, theirs[name].shape, ours[name].shape)
