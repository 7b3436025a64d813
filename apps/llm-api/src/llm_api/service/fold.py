"""Whole choices from the deltas that a stream would send one by one."""

from dataclasses import dataclass, field

from llm_api.service.choice import ChoiceDelta, FinishReason, ScoredToken


@dataclass(slots=True)
class WholeChoice:
    index: int
    texts: list[str] = field(default_factory=list)
    tokens: list[ScoredToken] = field(default_factory=list)
    finish_reason: FinishReason = "stop"

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Fold:
    def __init__(self, sequences: int) -> None:
        self.choices = [WholeChoice(index) for index in range(sequences)]

    def add(self, delta: ChoiceDelta) -> None:
        choice = self.choices[delta.index]
        choice.texts.append(delta.text)
        choice.tokens += delta.tokens
        if delta.finish_reason is not None:
            choice.finish_reason = delta.finish_reason
