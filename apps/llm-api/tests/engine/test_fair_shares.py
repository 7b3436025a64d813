"""Which waiting sequence runs next: equal shares for tenants, priorities among a tenant's own requests."""

from engine.driver import Engine

from llm_api.engine.executor import Executor

PROMPT = [5, 6, 7, 8]


def order(engine: Engine) -> list[str]:
    """Runs to the end. Returns the requests in the order of their last tokens."""
    ended: list[str] = []
    while engine.loop.scheduler.has_work:
        ended += [output.request_id for output in engine.step().outputs if output.finish_reason]
    return ended


def add(engine: Engine, name: str, tenant: str = "", priority: int = 0, n: int = 1) -> None:
    engine.add(name, PROMPT, n, priority=priority, tenant=tenant, max_tokens=3, temperature=0, ignore_eos=True)


def test_without_tenants_the_first_to_arrive_is_the_first_to_run(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=1)
    for name in "abcd":
        add(engine, name)
    assert order(engine) == list("abcd")


def test_a_lower_priority_is_earlier(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=1)
    for name, priority in {"late": 5, "first": -7, "second": 0, "third": 0}.items():
        add(engine, name, priority=priority)
    assert order(engine) == ["first", "second", "third", "late"]


def test_many_requests_do_not_delay_another_tenants_first(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=2)
    for number in range(20):
        add(engine, f"many{number}", "many")
    engine.step()
    add(engine, "one", "few")
    add(engine, "two", "few")
    ended = order(engine)
    assert (ended.index("one"), ended.index("two")) <= (3, 6)


def test_priorities_do_not_count_between_tenants(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=1)
    for number in range(4):
        add(engine, f"pushy{number}", "pushy", priority=-1000)
        add(engine, f"calm{number}", "calm")
    assert [name[:-1] for name in order(engine)] == ["pushy", "calm"] * 4


def test_the_choices_of_a_request_stay_together(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=1)
    add(engine, "pair", n=3)
    add(engine, "next")
    assert order(engine) == ["pair", "pair", "pair", "next"]


def test_the_least_urgent_sequence_is_preempted_first(tiny: Executor) -> None:
    """The cache holds one and a half of these completions."""
    blocks = 60 // tiny.cache.block_size
    engine = Engine(tiny, blocks=blocks, sequences=2, prefix_caching=False)
    for name, priority in {"patient": 1, "urgent": -1}.items():
        engine.add(name, PROMPT, priority=priority, max_tokens=36, temperature=0, ignore_eos=True)
    assert order(engine) == ["urgent", "patient"]
    assert engine.preemptions > 0


def test_a_cancelled_request_no_longer_waits(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=1)
    for name in "abc":
        add(engine, name, tenant=name)
    engine.cancel("b")
    assert order(engine) == ["a", "c"]
    assert not list(engine.loop.scheduler.waiting)
