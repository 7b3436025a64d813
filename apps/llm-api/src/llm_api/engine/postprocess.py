"""Turns the logits of a step into tokens and outputs, one per sequence."""

from torch import Tensor

from llm_api.engine.batch import LogitsSpan
from llm_api.engine.grammar.masks import StepMasks
from llm_api.engine.messages import EngineFinishReason, SequenceOutput, TokenLogprobs
from llm_api.engine.sampler.logprobs import token_logprobs
from llm_api.engine.sampler.sampler import DEAD_END, sample
from llm_api.engine.sequence import Sequence


def collect_prompt_logprobs(logits: Tensor, spans: list[LogitsSpan]) -> None:
    """A prompt row's logits give the logprob of the next prompt token. The first token has none."""
    for span in spans:
        sequence = span.chunk.sequence
        if not sequence.wants_prompt_logprobs or sequence.sampling.prompt_logprobs is None:
            continue
        # Drop entries beyond the chunk's start: they are from before a preemption, or from a step that failed later.
        sequence.prompt_logprobs = sequence.prompt_logprobs[: span.chunk.start + 1] or [None]
        following = sequence.token_ids[span.chunk.start + 1 : span.chunk.end + 1]
        rows = logits[span.start : span.start + len(following)]
        sequence.prompt_logprobs += token_logprobs(rows, following, sequence.sampling.prompt_logprobs)


def sample_spans(
    logits: Tensor, spans: list[LogitsSpan], greedy: list[int], masks: StepMasks | None = None
) -> list[tuple[int, TokenLogprobs | None]]:
    """Samples one token per span from its last row, with logprobs if requested. Changes `logits` in place.

    `greedy`: the most likely token of each row of `logits`. DEAD_END as of `sample`.
    """
    sequences = [span.chunk.sequence for span in spans]
    last_rows = logits if len(spans) == len(logits) else logits[[span.end - 1 for span in spans]]
    wanted = [row for row, sequence in enumerate(sequences) if sequence.sampling.logprobs is not None]
    raw = last_rows[wanted] if wanted else None  # a copy, before penalties change the logits
    token_ids = sample(last_rows, sequences, [greedy[span.end - 1] for span in spans], masks)
    logprobs: list[TokenLogprobs | None] = [None] * len(sequences)
    if raw is not None:
        for row, raw_row in zip(wanted, raw.split(1), strict=True):
            if token_ids[row] == DEAD_END:
                continue
            num_top = sequences[row].sampling.logprobs or 0
            logprobs[row] = token_logprobs(raw_row, [token_ids[row]], num_top)[0]
    return list(zip(token_ids, logprobs, strict=True))


def advance(sequence: Sequence, token_id: int, logprobs: TokenLogprobs | None, max_model_len: int) -> SequenceOutput:
    """Appends the token and decides whether it is the last one. max_tokens 0 requests only the prompt's logprobs."""
    prompt_logprobs = sequence.prompt_logprobs or None if sequence.num_completion == 0 else None
    wanted = sequence.sampling.max_tokens > 0
    if wanted:
        sequence.token_ids.append(token_id)
        if sequence.grammar:
            sequence.grammar.accept(token_id)
    return SequenceOutput(
        request_id=sequence.request_id,
        index=sequence.index,
        token_ids=[token_id] if wanted else [],
        logprobs=[logprobs] if wanted and logprobs is not None else None,
        prompt_logprobs=prompt_logprobs,
        cached_tokens=sequence.cached_tokens or 0,
        finish_reason=_finish_reason(sequence, max_model_len),
    )


def _finish_reason(sequence: Sequence, max_model_len: int) -> EngineFinishReason | None:
    may_end = sequence.num_completion >= max(sequence.sampling.min_tokens, 1) or sequence.grammar is not None
    if may_end and sequence.token_ids[-1] in sequence.end_token_ids:
        return "stop"
    if sequence.num_completion >= sequence.sampling.max_tokens or len(sequence.token_ids) >= max_model_len:
        return "length"
    return None


def failed(request_id: str, index: int, error: str, is_request_at_fault: bool = False) -> SequenceOutput:
    return SequenceOutput(
        request_id=request_id,
        index=index,
        token_ids=[],
        finish_reason="error",
        error=error,
        is_request_at_fault=is_request_at_fault,
    )
