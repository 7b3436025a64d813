"""What a request asks of the engine: its prompts as tokens, and how to go on from them."""

from dataclasses import dataclass

from llm_api.engine.messages import SamplingParams
from llm_api.tokenization.stop_strings import StopPattern


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt to give back at the start of its completions. `offsets` has where each token begins in `text`."""

    text: str
    token_ids: list[int]
    offsets: list[int]


@dataclass(frozen=True, slots=True)
class Prompt:
    token_ids: list[int]
    echo: Echo | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`n` sequences for each prompt. `joins_prompt`: their text goes on from the prompt's; else it begins anew."""

    prompts: list[Prompt]
    sampling: SamplingParams
    n: int
    stops: tuple[StopPattern, ...]
    joins_prompt: bool

    @property
    def prompt_tokens(self) -> int:
        return sum(len(prompt.token_ids) for prompt in self.prompts)

    @property
    def sequences(self) -> int:
        return len(self.prompts) * self.n
