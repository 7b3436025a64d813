"""Logprobs of the model's distribution, before temperature, penalties and truncation."""

from torch import Tensor

from llm_api.engine.messages import TokenLogprobs

ROWS_AT_ONCE = 64  # limits the memory for a long prompt's logprobs


def token_logprobs(logits: Tensor, token_ids: list[int], num_top: int) -> list[TokenLogprobs]:
    """For unmodified float32 `logits` [rows, vocabulary] and one token per row: its logprob, and the `num_top` most likely tokens."""
    result: list[TokenLogprobs] = []
    for start in range(0, len(token_ids), ROWS_AT_ONCE):
        tokens = token_ids[start : start + ROWS_AT_ONCE]
        result += _logprobs(logits[start : start + len(tokens)], tokens, num_top)
    return result


def _logprobs(logits: Tensor, token_ids: list[int], num_top: int) -> list[TokenLogprobs]:
    logprobs = logits.log_softmax(-1)
    tokens = logits.new_tensor(token_ids).long().unsqueeze(1)
    own = logprobs.gather(1, tokens)
    chosen, ranks = own.squeeze(1).tolist(), (logprobs > own).sum(-1).add_(1).tolist()
    if not num_top:
        return [TokenLogprobs(logprob, [], rank) for logprob, rank in zip(chosen, ranks, strict=True)]
    values, indices = logprobs.topk(num_top)
    tops = zip(indices.tolist(), values.tolist(), strict=True)
    return [TokenLogprobs(one, list(zip(*top, strict=True)), rank) for one, rank, top in zip(chosen, ranks, tops, strict=True)]
