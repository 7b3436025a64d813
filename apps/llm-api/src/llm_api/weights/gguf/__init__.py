"""Reads GGUF files: every tensor and every key of a file is used, known to be harmless, or the file is refused by naming it.

Only the conversion process imports this package. It loads numpy and tokenizers, not torch.
"""
