"""`make bench-families`: how much faster the engine's own decoders are than transformers, for each family, with small random models.

Measures CPU seconds of decode steps in one thread, in turns, so that other processes on the machine hardly matter.
"""

import logging
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from llm_api.engine.executor import Executor
from llm_api.engine.messages import AddRequest, EngineConfig, SamplingParams
from llm_api.engine.models.families.registry import FAMILIES
from llm_api.engine.sequence import Chunk, Sequence
from llm_api.markdown import table

SHAPE: dict[str, Any] = {
    "vocab_size": 8192,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
HEAD_DIM = 64
EXPERTS = {"num_local_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 384}
COMPOSITE = {"gemma3"}  # its text is gemma3_text
MIXTURES = {"mixtral", "gpt_oss"}  # their experts have the intermediate size
PROMPT_TOKENS, BLOCKS = 104, 7  # a block has 16 tokens
CONCURRENCY = (1, 16)
RUNNERS = ("native", "torch", "general")


def save(family: str, folder: Path) -> Path:
    torch.manual_seed(0)
    smaller = {"intermediate_size": 384} if family in MIXTURES else {}
    config = AutoConfig.for_model(family, **(SHAPE | {"head_dim": HEAD_DIM} | EXPERTS | smaller))
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def prompts(count: int) -> list[Sequence]:
    sequences = []
    for number in range(count):
        tokens = [(7 * number + i) % 8000 + 3 for i in range(PROMPT_TOKENS + 1)]
        sequences.append(Sequence(AddRequest(request_id=str(number), prompt_token_ids=tokens, sampling=SamplingParams(max_tokens=1)), 0))
        sequences[-1].block_ids = list(range(number * BLOCKS, (number + 1) * BLOCKS))
    return sequences


def prefilled(path: Path, runner: str, sequences: list[Sequence]) -> Executor:
    settings = EngineConfig(model_path=str(path), runner=runner, num_threads=1, max_num_seqs=16, kv_cache_memory=2**27)
    executor = Executor(settings)
    for sequence in sequences:
        executor.run([Chunk(sequence, 0, PROMPT_TOKENS)])
    return executor


def milliseconds(executor: Executor, sequences: list[Sequence], steps: int) -> float:
    """CPU time of a decode step, the median."""
    chunks = [Chunk(sequence, PROMPT_TOKENS, 1) for sequence in sequences]
    times = []
    for _ in range(steps):
        started = time.process_time()
        executor.run(chunks)
        times.append(time.process_time() - started)
    return 1000 * median(times)


def measure(family: str, rounds: int, steps: int) -> list[list[str]]:
    sequences = prompts(max(CONCURRENCY))
    with tempfile.TemporaryDirectory() as folder:
        path = save(family, Path(folder))
        executors = {runner: prefilled(path, runner, sequences) for runner in RUNNERS}
    rows = []
    for count in CONCURRENCY:
        turns = [{name: milliseconds(one, sequences[:count], steps) for name, one in executors.items()} for _ in range(rounds)]
        medians = [median(turn[runner] for turn in turns) for runner in RUNNERS]
        ratios = [f"{median(turn['general'] / turn[runner] for turn in turns):.1f}" for runner in RUNNERS[:2]]
        rows.append([family, str(count), *(f"{value:.2f}" for value in medians), *ratios])
    return rows


def main(
    families: Annotated[list[str] | None, typer.Argument(help="All, unless some are named.")] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each runner.")] = 3,
    steps: Annotated[int, typer.Option(help="Steps of a turn.")] = 10,
) -> None:
    """Prints a table of the milliseconds of a decode step."""
    disable_progress_bar()
    logging.disable(logging.WARNING)
    rows = [row for family in families or sorted(FAMILIES.keys() - COMPOSITE) for row in measure(family, rounds, steps)]
    print(table(["family", "sequences", "native, ms", "torch, ms", "general, ms", "native times as fast", "torch"], rows))


if __name__ == "__main__":
    typer.run(main)
