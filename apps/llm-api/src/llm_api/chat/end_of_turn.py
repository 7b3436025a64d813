"""The tokens that end an assistant's answer: the tokenizer's end-of-text token, and the token that the chat template writes there.

Fine-tuned models often learn a template's token, such as `<|im_end|>`, while their other files still name that of the base model.
"""

import re
from collections.abc import Collection

from llm_api.chat.template import ChatTemplate, ChatTemplateError

_ANSWER = "The answer is forty-two."  # a text that no template contains
_QUESTION = {"role": "user", "content": "What is it?"}
_CHATS = (
    [_QUESTION, {"role": "assistant", "content": _ANSWER}],
    [_QUESTION, {"role": "assistant", "content": _ANSWER}, _QUESTION],
)


def end_texts(template: ChatTemplate, special_tokens: Collection[str], added_tokens: Collection[str]) -> set[str]:
    """`added_tokens` includes the special ones. A text may be no token of the vocabulary."""
    found = {template.eos_token, end_of_turn(template, special_tokens, added_tokens)}
    return {text for text in found if text}


def end_of_turn(template: ChatTemplate, special_tokens: Collection[str], added_tokens: Collection[str]) -> str | None:
    """The control token that follows an answer at the end of a chat; if none does there, the one that follows it within a chat.

    The end goes first: within a chat, gpt-oss writes a token after an answer that ends only a part of it.
    None for a template without such a token.
    """
    tokens = sorted((token for token in added_tokens if token.strip() == token != ""), key=len, reverse=True)
    run = re.compile(rf"\s*((?:{'|'.join(map(re.escape, tokens))})+)") if tokens else re.compile(r"(?!)")
    one = re.compile("|".join(map(re.escape, tokens)))
    for chat in _CHATS:
        if found := run.match(_after_answer(template, chat)):
            following: list[str] = one.findall(found[1])
            # A template may close a part of the answer with a token that is text, such as </answer>.
            return next((token for token in following if token in special_tokens), following[-1])
    return None


def _after_answer(template: ChatTemplate, chat: list[dict[str, str]]) -> str:
    try:
        return template.conversation(chat).rpartition(_ANSWER)[2]
    except ChatTemplateError:  # some refuse a chat that ends with an answer
        return ""
