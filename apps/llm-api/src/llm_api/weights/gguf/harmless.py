"""Keys that change neither logits nor tokens. Any other key that nothing read is a reason to refuse the file."""

from typing import Any

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.header import Header

# Each with its reason. Keys of other tools (`mradermacher.` and so on) are notes, too: no reader has a use for them.
PREFIXES = {
    "general.": "names, licences, authors, sources, sampling suggestions, the file type: tensors have types of their own",
    "tokenizer.chat_template.": "templates beside the default one",
    "tokenizer.ggml.fim_": "names of control tokens for infilling",
}
NAMES = {
    "split.no": "one file: checked by check_whole",
    "split.tensors.count": "one file: checked by check_whole",
    "tokenizer.chat_templates": "names of templates beside the default one",
    "tokenizer.huggingface.json": "the tokenizer again, in another form",
    "tokenizer.ggml.cls_token_id": "a name of a control token",
    "tokenizer.ggml.mask_token_id": "a name of a control token",
    "tokenizer.ggml.middle_token_id": "a name of a control token",
    "tokenizer.ggml.prefix_token_id": "a name of a control token",
    "tokenizer.ggml.seperator_token_id": "a name of a control token",
    "tokenizer.ggml.suffix_token_id": "a name of a control token",
}
OWN_NAMES = {
    "tensor_data_layout": "the architecture's only layout",
    "rope.scaling.finetuned": "a remark, but for Granite, which reads it",
    "attention.causal": "true: checked by check_whole",
}
NEUTRAL: dict[str, Any] = {  # values with which a key says nothing; so do 0, false and an empty list
    "rope.scaling.attn_factor": 1,
    "rope.scaling.yarn_attn_factor": 1,
    "rope.scaling.yarn_ext_factor": 1,
    "embedding_scale": 1,
    "logit_scale": 1,
    "residual_scale": 1,
}


def check_whole(header: Header) -> None:
    """Raises UnsupportedModel for files that are a part of a model, or no model that generates text."""
    kind = header.get("general.type", "model")
    if kind != "model":
        raise UnsupportedModel(f"the file is no model: its general.type is {kind!r}.")
    parts = header.get("split.count", 0)
    if parts > 1:
        raise UnsupportedModel(f"the file is one of {parts} (split.count): join them with llama-gguf-split --merge.")
    if not header.own("attention.causal", True):
        raise UnsupportedModel(f"{header.architecture}.attention.causal is false: the model does not generate text.")


def check_all_read(header: Header) -> None:
    """Raises UnsupportedModel for the first key that nothing read and that is not known to be harmless."""
    own = f"{header.architecture}."
    harmless = NAMES.keys() | {own + name for name in OWN_NAMES}
    for key in sorted(header.keys.keys() - header.read - harmless):
        matters = key.startswith((own, "tokenizer.", "split.", "adapter.", "clip.")) and not key.startswith(tuple(PREFIXES))
        if matters and header.keys[key]() not in (None, False, [], NEUTRAL.get(key.removeprefix(own))):
            raise UnsupportedModel(f"the key {key} is not supported: use the model's safetensors files.")
