"""Log-likelihoods by transformers, in float32, in the repository's environment: `python reference.py MODEL_FOLDER`, pairs on stdin."""

import json
import sys

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

folder = sys.argv[1]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
sums = []
for context, continuation in json.load(sys.stdin):
    before, whole = tokenizer.encode(context).ids, tokenizer.encode(context + continuation).ids
    with torch.inference_mode():
        logprobs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    sums.append(sum(float(logprobs[at - 1, whole[at]]) for at in range(len(before), len(whole))))
print(json.dumps(sums))
