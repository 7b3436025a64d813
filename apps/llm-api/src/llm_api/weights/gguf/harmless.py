"""Keys that change neither logits nor tokens. Any other key that nothing read is a reason to refuse the file."""

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.header import Header

# Each with its reason.
PREFIXES = {
    "general.": "names, licences, authors, sources, sampling suggestions, the file type: tensors have types of their own",
    "quantize.imatrix.": "how the file was quantized",
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
    "tokenizer.ggml.unknown_token_id": "llama.cpp and byte-level vocabularies have no use for it",
    "tokenizer.ggml.token_type_count": "only BERT reads it",
}
OWN_NAMES = {
    "tensor_data_layout": "the architecture's only layout",
    "rope.scaling.finetuned": "a remark",
    "attention.causal": "true: checked by check_whole",
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
    own = {f"{header.architecture}.{name}" for name in OWN_NAMES}
    for key in sorted(header.keys.keys() - header.read - NAMES.keys() - own):
        if not key.startswith(tuple(PREFIXES)) and header.keys[key]() not in (None, False, []):
            raise UnsupportedModel(f"the key {key} is not supported: use the model's safetensors files.")
