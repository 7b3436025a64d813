"""Lone surrogates, which JSON can contain and the tokenizers library refuses."""


def without_lone_surrogates(text: str) -> str:
    """Each becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
