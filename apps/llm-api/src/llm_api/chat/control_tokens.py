"""Which tokens of a vocabulary shape a conversation, so that text of a message must not become one."""

from collections.abc import Collection

from llm_api.chat.template import ChatTemplate


def control_tokens(special: Collection[str], added: Collection[str], template: ChatTemplate) -> set[str]:
    """The special tokens and the template's own markers. Some families, such as DeepSeek, do not declare the markers special.

    Tokens in pairs that are not special, such as <think> and </think>, stay tokens: they are within a turn, and an earlier answer that
    contains them must be read as the model wrote it. transformers' sanitize_control_tokens, which this follows otherwise, differs here.
    """
    if template.configured_control_tokens is not None:
        return {*special, *template.configured_control_tokens}.intersection(added)
    written = template.written_text()
    return {*special, *(token for token in added if token in written and not _is_text(token) and not _is_paired(token, added))}


def _is_text(token: str) -> bool:
    return token[0].isalnum() or token[0].isspace()


def _is_paired(token: str, added: Collection[str]) -> bool:
    name = token.removeprefix("</").removeprefix("<")
    return token.startswith("<") and f"<{name}" in added and f"</{name}" in added
