from collections.abc import Iterator

import pytest
from upstream.front import Front, front
from upstream.scripted_upstream import ScriptedUpstream, scripted_upstream


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(engine: ScriptedUpstream) -> Iterator[Front]:
    with front(engine.url) as started:
        yield started
