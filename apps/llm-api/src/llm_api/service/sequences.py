"""A plan carried out by the engine: what its choices gain, step by step."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from llm_api.engine.errors import EngineDied
from llm_api.engine.messages import SequenceOutput
from llm_api.protocol.errors import EngineFailed
from llm_api.service.choice import ChoiceDelta, GrowingChoice
from llm_api.service.engine import Engine
from llm_api.service.merge import merged
from llm_api.service.plan import Plan, Prompt
from llm_api.service.record import RequestRecord
from llm_api.tokenization.stop_strings import StopStrings
from llm_api.tokenization.tokenizer import Tokenizer

CONTINUED_TOKENS = 8  # of a prompt: enough to tell how the text goes on


class Generation:
    """One engine request for each prompt. Choices are numbered over all prompts: prompt i has those from i * n."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, plan: Plan, record: RequestRecord, request_id: str) -> None:
        self.plan = plan
        self.record = record
        self._engine = engine
        self._tokenizer = tokenizer
        self._request_id = request_id

    async def deltas(self) -> AsyncGenerator[list[ChoiceDelta]]:
        """At most one delta a choice in each list. Closing it cancels all that still runs. Raises EngineFailed."""
        prompts = [self._of_prompt(position) for position in range(len(self.plan.prompts))]
        with self.record:
            async with aclosing(merged(prompts)) as steps:
                async for deltas in steps:
                    yield deltas

    async def _of_prompt(self, position: int) -> AsyncGenerator[list[ChoiceDelta]]:
        prompt, request_id = self.plan.prompts[position], f"{self._request_id}-{position}"
        choices = [self._choice(position * self.plan.n + index, prompt) for index in range(self.plan.n)]
        outputs = self._engine.generate(request_id, prompt.token_ids, self.plan.sampling, self.plan.n)
        try:
            async with aclosing(outputs):
                async for step in outputs:
                    if deltas := self._advance(choices, step):
                        yield deltas
        except EngineDied as error:
            raise EngineFailed("The engine stopped while it worked on this request. Send it again.") from error

    def _choice(self, index: int, prompt: Prompt) -> GrowingChoice:
        continued = prompt.token_ids[-CONTINUED_TOKENS:] if self.plan.joins_prompt else ()
        scored = self.plan.sampling.logprobs is not None
        return GrowingChoice(index, self._tokenizer.detokenizer(continued), StopStrings(self.plan.stops), scored, prompt.echo)

    def _advance(self, choices: list[GrowingChoice], step: list[SequenceOutput]) -> list[ChoiceDelta]:
        deltas: dict[int, ChoiceDelta] = {}
        for output in step:
            choice = choices[output.index]
            if choice.finish_reason is None and (delta := self._advance_choice(choice, output)):
                earlier = deltas.get(output.index)
                deltas[output.index] = earlier.joined(delta) if earlier else delta
        return list(deltas.values())

    def _advance_choice(self, choice: GrowingChoice, output: SequenceOutput) -> ChoiceDelta:
        if output.finish_reason == "error":
            raise EngineFailed(output.error or "The engine failed on this request.")
        delta = choice.advance(output)
        self.record.output(choice.index, output)
        if delta.finish_reason is not None:
            self.record.choice_finished(delta.finish_reason)
            if output.finish_reason is None:
                self._engine.cancel(output.request_id, output.index)
        return delta
