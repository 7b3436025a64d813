"""Random models of a few kilobytes, as GGUF, folder and wheel."""

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, TokenType
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

Keys = dict[str, Any]
Tensors = dict[str, np.ndarray[Any, np.dtype[np.float32]]]

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INNER = 32, 2, 1, 16, 64
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def vocabulary() -> list[str]:
    return [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĠĠ"]


def write_gguf(
    path: Path,
    architecture: str = "llama",
    pre: str = "smollm",
    keys: Keys | None = None,
    tensors: Tensors | None = None,
    words: str = "",
    bos: int = 1,
    eos: int = 2,
) -> Path:
    """A tiny SmolLM2 with its split into single digits. The merge of two spaces shows how text is split before digits.

    `keys`: more metadata, by the names of GGUFWriter's methods without `add_`. `words`: more tokens, separated by spaces.
    """
    tokens = [*vocabulary(), *words.split()]
    writer = GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in SPECIAL else TokenType.NORMAL for token in tokens])
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_chat_template(TEMPLATE)
    for key, value in (keys or {}).items():
        getattr(writer, f"add_{key}")(value)
    for name, tensor in (_tensors(len(tokens)) | (tensors or {})).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(vocabulary_size: int) -> Tensors:
    kv = KV_HEADS * HEAD_DIM
    shapes = {
        "token_embd.weight": (vocabulary_size, HIDDEN),
        "output_norm.weight": (HIDDEN,),
        "blk.0.attn_norm.weight": (HIDDEN,),
        "blk.0.attn_q.weight": (HIDDEN, HIDDEN),
        "blk.0.attn_k.weight": (kv, HIDDEN),
        "blk.0.attn_v.weight": (kv, HIDDEN),
        "blk.0.attn_output.weight": (HIDDEN, HIDDEN),
        "blk.0.ffn_norm.weight": (HIDDEN,),
        "blk.0.ffn_gate.weight": (INNER, HIDDEN),
        "blk.0.ffn_up.weight": (INNER, HIDDEN),
        "blk.0.ffn_down.weight": (HIDDEN, INNER),
    }
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def write_folder(folder: Path, **config: Any) -> Path:
    """The same model as transformers saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(_config() | config))
    save_file({_SAVED_NAMES[name]: tensor for name, tensor in _tensors(len(vocabulary())).items()}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(vocabulary())}, [("Ġ", "Ġ")]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def _config() -> dict[str, Any]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": 64,
        "vocab_size": len(vocabulary()),
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


_LAYER = "model.layers.0"
_SAVED_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "blk.0.attn_norm.weight": f"{_LAYER}.input_layernorm.weight",
    "blk.0.attn_q.weight": f"{_LAYER}.self_attn.q_proj.weight",
    "blk.0.attn_k.weight": f"{_LAYER}.self_attn.k_proj.weight",
    "blk.0.attn_v.weight": f"{_LAYER}.self_attn.v_proj.weight",
    "blk.0.attn_output.weight": f"{_LAYER}.self_attn.o_proj.weight",
    "blk.0.ffn_norm.weight": f"{_LAYER}.post_attention_layernorm.weight",
    "blk.0.ffn_gate.weight": f"{_LAYER}.mlp.gate_proj.weight",
    "blk.0.ffn_up.weight": f"{_LAYER}.mlp.up_proj.weight",
    "blk.0.ffn_down.weight": f"{_LAYER}.mlp.down_proj.weight",
}


def write_slow_tokenizer(folder: Path) -> None:
    """Writes the two tokenizer files of GPT-2 instead of tokenizer.json."""
    (folder / "tokenizer.json").unlink(missing_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(vocabulary())}))
    (folder / "merges.txt").write_text("#version: 0.2\nĠ Ġ\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))


def write_wheel(folder: Path, name: str, version: str, files: dict[str, bytes], recorded: dict[str, bytes] | None = None) -> Path:
    """`recorded` replaces the content of files in the hashes of RECORD."""
    info = f"{name}-{version}.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(content)},{len(content)}\n" for path, content in (files | (recorded or {})).items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in (files | metadata | {f"{info}/RECORD": record.encode()}).items():
            wheel.writestr(member, content)
    return path


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
