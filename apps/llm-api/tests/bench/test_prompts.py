from itertools import pairwise

from llm_api.bench.prompts import Prompts


def text(messages: list[dict[str, str]]) -> str:
    return "\n".join(message["content"] for message in messages)


def test_prompts_differ_from_the_first_word() -> None:
    prompts = Prompts(1)
    assert len({text(prompts.next()).split()[0] for _ in range(500)}) == 500


def test_the_first_three_words_are_unique() -> None:
    prompts = Prompts(1)
    openings = [" ".join(text(prompts.next()).split()[:3]) for _ in range(2000)]
    assert all(earlier != later for earlier, later in pairwise(sorted(openings)))


def test_a_seed_repeats_its_prompts_and_another_does_not() -> None:
    first, again, other = ([text(prompts.next()) for _ in range(20)] for prompts in (Prompts(1), Prompts(1), Prompts(2)))
    assert first == again
    assert not set(first) & set(other)


def test_all_prompts_have_about_the_same_length() -> None:
    prompts = Prompts(3)
    assert {len(text(prompts.next()).split()) for _ in range(200)} == {74}
