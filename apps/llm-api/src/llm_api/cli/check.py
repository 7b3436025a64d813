"""`llm-api check`."""

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_api.cli.errors import plain_errors, stops_on_sigterm
from llm_api.cli.model import readable_progress, settings_for

if TYPE_CHECKING:
    from llm_api.cli.prepared_model import PreparedModel
    from llm_api.engine.report import EngineReport

EPILOG = """
Examples:

`llm-api check`: checks the model that `llm-api serve` would serve

`llm-api check ~/models/Qwen3-0.6B`: checks a folder, in place

`llm-api check hf://Qwen/Qwen3-0.6B@main`: downloads a model like `llm-api pull`, and checks it

`QUANTIZATION=int4 llm-api check ~/models/Qwen3-0.6B`: checks it with a setting of `llm-api serve`

`llm-api check --json ~/models/Qwen3-0.6B | jq .context`: prints one value; sizes are in bytes, lengths in tokens

It reads config.json, the headers of the weights, the tokenizer and the chat template. It reads no
weights and generates nothing. The memory is that of weights and KV cache. The processes
themselves take about 750 MB more.

Exit codes: 0 the model would be served, 65 a file is at fault or the model is not supported, 78 a
setting or this machine is at fault; others as `llm-api pull`.
"""


def check(
    model: Annotated[str | None, typer.Argument(help="Model URI, folder or .gguf file. Default: MODEL_PATH, else MODEL_URI.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Say whether a model would be served, by which path, with how much memory and context. Serves nothing."""
    with plain_errors(), stops_on_sigterm():
        settings = settings_for(model)
        from llm_api.cli.prepared_model import prepare

        prepared = prepare(settings, readable_progress())
        from llm_api.engine.report import report  # imports torch, so a file at fault is found before

        facts = _facts(prepared, report(prepared.engine))
    typer.echo(json_module.dumps(facts, ensure_ascii=False, indent=2) if json else _lines(facts))


def _facts(prepared: "PreparedModel", engine: "EngineReport") -> dict[str, Any]:
    """The result as JSON has it."""
    return {
        "name": prepared.name,
        "folder": str(prepared.model.path),
        "architecture": engine.architecture,
        "runner": engine.runner,
        "device": engine.device,
        "dtype": engine.dtype,
        "quantization": prepared.engine.quantization,
        "weights_memory": engine.weights_memory,
        "kv_cache_memory": engine.kv_cache_memory,
        "kv_cache_memory_per_1000_tokens": engine.kv_cache_memory_per_1000_tokens,
        "kv_cache_tokens": engine.kv_cache_tokens,
        "total_memory": engine.total_memory,
        "available_memory": engine.available_memory,
        "context": engine.context,
        "model_context": engine.model_context,
        "end_tokens": {prepared.tokenizer.token_text(token_id): token_id for token_id in engine.end_token_ids},
        "tokenizer": prepared.tokenizer.kind,
        "tokenizer_size": prepared.tokenizer.size,
        "chat_template": prepared.template.exists,
        "warnings": _warnings(prepared, engine),
    }


def _warnings(prepared: "PreparedModel", engine: "EngineReport") -> list[str]:
    beyond = prepared.tokenizer.added_beyond(engine.vocabulary)
    warnings = {
        "no chat template: /v1/chat/completions answers 400": not prepared.template.exists,
        "no token ends a text: every answer is as long as max_tokens": not engine.end_token_ids,
        "the general runner is slower than the fast paths": engine.runner == "general",
        f"the native runner does not work here, and torch is slower: {engine.not_native}": engine.not_native and engine.device == "cpu",
        f"the KV cache limits the context to {engine.context} of {engine.model_context} tokens: raise KV_CACHE_MEMORY": (
            engine.context < min(engine.model_context, prepared.engine.max_model_len or engine.model_context)
        ),
        f"the model lacks {len(beyond)} tokens of its tokenizer, such as {beyond[:1]}: prompts with them get 400": beyond,
        "the model's own Python code will run": prepared.model.remote_code,
    }
    return [text for text, applies in warnings.items() if applies]


def _lines(facts: dict[str, Any]) -> str:
    ends = ", ".join(f"{text} ({token_id})" for text, token_id in facts["end_tokens"].items())
    rows = {
        "model": f"{facts['name']} ({facts['architecture']}), {facts['folder']}",
        "runner": f"{facts['runner']}, {facts['dtype']} on {facts['device']}, quantization {facts['quantization']}",
        "weights": _size(facts["weights_memory"]),
        "KV cache": f"{_size(facts['kv_cache_memory_per_1000_tokens'])} per 1,000 tokens;"
        f" {_size(facts['kv_cache_memory'])} for {facts['kv_cache_tokens']:,} tokens",
        "total": f"{_size(facts['total_memory'])} of {_size(facts['available_memory'])} that are available",
        "context": f"{facts['context']:,} tokens; the model's own is {facts['model_context']:,}",
        "end of text": ends or "none",
        "tokenizer": f"{facts['tokenizer']} with {facts['tokenizer_size']:,} tokens",
        "chat template": "yes" if facts["chat_template"] else "no",
    }
    lines = [f"{name:15}{value}" for name, value in rows.items()]
    return "\n".join(lines + [f"warning: {text}" for text in facts["warnings"]])


def _size(size: int) -> str:
    from llm_api.engine.limits import readable

    return readable(size)
