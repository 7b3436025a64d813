"""The diff of two rendered overlays, object by object."""

import difflib
from collections.abc import Iterator

import yaml

from delivery.diff.masked import Masking
from delivery.rendering import Object, Rendered


def changes(old: Rendered, new: Rendered) -> Iterator[str]:
    """One unified diff for each changed object, in the new order, with removed objects last. Possible secrets are masked."""
    masking = Masking()
    before, after = _by_name(masking.objects(old.objects)), _by_name(masking.objects(new.objects))
    for name in [*after, *(name for name in before if name not in after)]:
        if difference := "".join(_unified(name, before.get(name), after.get(name))):
            yield difference


def _by_name(objects: list[Object]) -> dict[str, Object]:
    return {f"{found['kind']}/{found['metadata']['name']}": found for found in objects}


def _unified(name: str, before: Object | None, after: Object | None) -> Iterator[str]:
    names = [name if found else "/dev/null" for found in (before, after)]
    return difflib.unified_diff(_lines(before), _lines(after), names[0], names[1], n=2)


def _lines(found: Object | None) -> list[str]:
    return yaml.safe_dump(found, sort_keys=False, width=1000).splitlines(keepends=True) if found else []
