from itertools import pairwise
from typing import SupportsIndex

from hypothesis import example, given
from hypothesis import strategies as st

from llm_api.tokenization.stop_strings import StopPattern, StopStrings

LETTERS = st.text("ab<", max_size=30)
STOPS = st.lists(st.text("ab<", min_size=1, max_size=6), max_size=4)


def stream(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    stop_strings, text = StopStrings(stops), ""
    for piece in pieces:
        emitted, matched = stop_strings.push(piece)
        text += emitted
        if matched:
            return text, True
    return text + stop_strings.flush(), False


def first_complete(stops: list[str], text: str) -> tuple[str, bool]:
    for end in range(1, len(text) + 1):
        if found := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, found))], True
    return text, False


@given(stops=STOPS, text=LETTERS, cuts=st.lists(st.integers(0, 30), max_size=6))
@example(stops=["bc", "abcd"], text="abcd", cuts=[])
@example(stops=["aab"], text="aaab", cuts=[2])
def test_a_text_ends_before_the_first_complete_stop_string_however_it_is_cut(stops: list[str], text: str, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    assert stream(stops, pieces) == first_complete(stops, text)


def test_only_text_that_may_begin_a_stop_string_is_held_back() -> None:
    stop_strings = StopStrings(["\n\nUser:"])
    assert stop_strings.push("Hello\n") == ("Hello", False)
    assert stop_strings.push("there\n\nUse") == ("\nthere", False)
    assert stop_strings.push("less") == ("\n\nUseless", False)
    assert stop_strings.flush() == ""


class CountedString(str):
    """Counts the characters that are looked up."""

    looked_up = 0

    def __getitem__(self, index: SupportsIndex | slice) -> str:
        self.looked_up += 1
        return super().__getitem__(index)


def test_a_long_repetitive_stop_string_costs_no_more_per_character() -> None:
    stop = CountedString("a" * 100_000 + "b")
    stop_strings = StopStrings([StopPattern(stop)])
    stop.looked_up = 0
    for _ in range(1000):
        stop_strings.push("aaaac")
    assert 5000 <= stop.looked_up < 4 * 5000
