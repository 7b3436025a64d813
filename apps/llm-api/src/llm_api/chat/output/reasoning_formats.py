"""How models mark their reasoning, and which of these ways a chat template shows."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReasoningFormat:
    """`answer`: a marker before an answer without reasoning. Whitespace around markers is part of them."""

    name: str
    start: str
    end: str
    answer: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.start, self.end, self.answer)


# In the order in which they are tried.
FORMATS = (
    ReasoningFormat(
        name="harmony",  # GPT-OSS
        start="<|channel|>analysis<|message|>",
        end="<|end|><|start|>assistant<|channel|>final<|message|>",
        answer="<|channel|>final<|message|>",
    ),
    ReasoningFormat("seed", "<seed:think>", "</seed:think>"),  # Seed-OSS
    ReasoningFormat("magistral", "[THINK]", "[/THINK]"),
    ReasoningFormat("kimi", "◁think▷", "◁/think▷"),  # Kimi-VL
    ReasoningFormat("granite", "Here is my thought process:", "Here is my response:"),  # Granite 3.2
    ReasoningFormat("think", "<think>", "</think>"),  # Qwen3, DeepSeek R1, GLM 4.5, SmolLM3 and many more
)
# Harmony where a call may follow instead of the final answer: what follows the last marker says which of them it is.
HARMONY_CHANNELS = ReasoningFormat(
    name="harmony_channels",
    start="<|channel|>analysis<|message|>",
    end="<|end|><|start|>assistant<|channel|>",
    answer="<|channel|>",
)
BY_NAME = {known.name: known for known in FORMATS}
EVIDENCE = {"harmony": "<|channel|>analysis", "granite": "Here is my thought process:"}


def reasoning_format_of(name: str, template_sources: Iterable[str]) -> ReasoningFormat | None:
    """`name`: of a format, or auto for the one that the chat template shows, or none."""
    if name != "auto":
        return BY_NAME.get(name)
    text = "\0".join(template_sources)
    return next((known for known in FORMATS if EVIDENCE.get(known.name, known.end) in text), None)
