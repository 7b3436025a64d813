"""First steps that nobody waits for: they size buffers and compile what compiles at first use."""

from queue import SimpleQueue

from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.loop import EngineLoop
from llm_api.engine.messages import AddRequest, FromEngine, SamplingParams, StepOutput


def warm_up(executor: Executor) -> None:
    """A full prefill step, then decode steps at the smallest and the largest batch. Raises EngineError if they fail."""
    for num_seqs in (1, executor.max_num_seqs):
        loop = EngineLoop(executor, SimpleQueue(), _ignore, prefix_caching=False)
        prompt = [0] * min(executor.max_num_batched_tokens // num_seqs, executor.max_model_len - 4)
        for number in range(num_seqs):
            sampling = SamplingParams(max_tokens=3, temperature=0, ignore_eos=True)
            loop.scheduler.add(AddRequest(request_id=str(number), prompt_token_ids=prompt, sampling=sampling))
        while loop.scheduler.has_work:
            _check(loop.step())


def _check(step: StepOutput) -> None:
    for output in step.outputs:
        if output.error is not None:
            raise EngineError(f"the model does not run: {output.error} The log has more.")


def _ignore(_message: FromEngine) -> None:
    pass
