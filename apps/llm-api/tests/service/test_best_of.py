"""Completions that are compared with each other, and completions with a text after them."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from service.calls import completion
from service.conftest import Scripted, Serve
from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from llm_api.protocol.errors import ApiError
from llm_api.service.fill_in_the_middle import MARKERS, FillInTheMiddle
from llm_api.tokenization.tokenizer import Tokenizer

# The scripted engine's logprob of a token is -id / 1000.
LIKELY, UNLIKELY, MIXED = [40, 41], [9000, 9001], [40, 3000]


async def test_the_most_likely_completions_of_each_prompt_are_returned(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    engine = scripted(*(tokenizer.decode(tokens) for tokens in (UNLIKELY, MIXED, LIKELY)))
    engine.scripts = [UNLIKELY, MIXED, LIKELY]
    answer = await serve(engine).complete(completion(["a", "b"], best_of=3, n=2)).infer()
    best = [tokenizer.decode(LIKELY), tokenizer.decode(MIXED)]
    assert [(choice.index, choice.text) for choice in answer.choices] == list(enumerate(best * 2))
    assert answer.choices[0].logprobs is None
    assert answer.usage and answer.usage.completion_tokens == 2 * 3 * 3


async def test_a_long_completion_is_compared_by_its_mean_and_without_the_prompt(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a")
    engine.scripts = [[500], [400] * 12]
    answer = await serve(engine).complete(completion([[45000, 45001, 45002]], best_of=2, echo=True, logprobs=0)).infer()
    assert len(answer.choices) == 1
    assert answer.choices[0].logprobs and len(answer.choices[0].logprobs.tokens) == 3 + 12


def test_every_generated_completion_takes_a_place() -> None:
    assert completion(["a", "b"], best_of=3, n=2).sequences == 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"best_of": 1, "n": 2}, "must be at least 'n', which is 2"),
        ({"best_of": 2, "stream": True}, "must be equal to 'n' when 'stream' is true"),
        ({"suffix": "b", "echo": True}, "excludes 'echo'"),
        ({"suffix": "b", "truncate_prompt_tokens": 4}, "excludes 'truncate_prompt_tokens'"),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        completion(**fields)


async def test_a_suffix_needs_a_model_that_fills_in_the_middle(serve: Serve, scripted: Scripted) -> None:
    with pytest.raises(ApiError, match="no tokens to fill in the middle") as refused:
        await serve(scripted("a")).complete(completion(suffix="b")).infer()
    assert (refused.value.status, refused.value.param) == (400, "suffix")
    assert (await serve(scripted("a")).complete(completion(suffix="")).infer()).choices[0].text == "a"


@pytest.mark.parametrize("names", MARKERS)
def test_the_text_after_the_gap_comes_before_the_middle(model_path: Path, tmp_path: Path, names: tuple[str, str, str]) -> None:
    library = Library.from_file(str(model_path / "tokenizer.json"))
    library.add_special_tokens([AddedToken(name, special=True) for name in names])
    library.save(str(tmp_path / "tokenizer.json"))
    prompt = FillInTheMiddle(Tokenizer(tmp_path)).prompt("def f(", "): pass", add_special_tokens=True)
    assert prompt == library.encode(f"{names[0]}def f({names[1]}): pass{names[2]}").ids
