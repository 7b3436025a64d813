"""The call formats of model families, and which of them a chat template asks for."""

from collections.abc import Iterable

from llm_api.chat.output.reasoning_formats import HARMONY_CHANNELS
from llm_api.chat.tools.call_format import CallFormat
from llm_api.chat.tools.keyed.style import KeyedStyle

PYTHON = KeyedStyle(before_key="", after_key="=", after_value="", separator=", ", raw_text=False)

HERMES = CallFormat(
    name="hermes",  # Hermes, Qwen 2.5 and 3, SmolLM3, and models without a format of their own
    evidence=("<tool_call>",),
    trigger="<tool_call>",
    before_name='<tool_call>\n{"name": "',
    before_arguments='", "arguments": ',
    after_arguments="}\n</tool_call>",
    between="\n",
)

# In the order in which they are tried: an entry's evidence may be in the templates of entries after it, never before.
FORMATS = (
    CallFormat(
        name="harmony",
        evidence=("<|channel|>commentary",),
        trigger="commentary to=functions.",
        before_name="commentary to=functions.",
        before_arguments=" <|constrain|>json<|message|>",
        after_arguments="",
        between=None,
        only_at_start=True,
        before_text="final<|message|>",
        reasoning=HARMONY_CHANNELS,
    ),
    CallFormat(
        name="kimi_k2",
        evidence=("<|tool_calls_section_begin|>",),
        trigger="<|tool_calls_section_begin|>",
        opening="<|tool_calls_section_begin|>",
        before_name="<|tool_call_begin|>functions.",
        before_arguments=":0<|tool_call_argument_begin|>",
        after_arguments="<|tool_call_end|>",
        closing="<|tool_calls_section_end|>",
    ),
    CallFormat(
        name="deepseek_v3",
        evidence=("<｜tool▁calls▁begin｜>", "```json"),
        trigger="<｜tool▁calls▁begin｜>",
        opening="<｜tool▁calls▁begin｜>",
        before_name="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        before_arguments="\n```json\n",
        after_arguments="\n```<｜tool▁call▁end｜>",
        between="\n",
        closing="<｜tool▁calls▁end｜>",
    ),
    CallFormat(
        name="deepseek_v31",
        evidence=("<｜tool▁calls▁begin｜>",),
        trigger="<｜tool▁calls▁begin｜>",
        opening="<｜tool▁calls▁begin｜>",
        before_name="<｜tool▁call▁begin｜>",
        before_arguments="<｜tool▁sep｜>",
        after_arguments="<｜tool▁call▁end｜>",
        closing="<｜tool▁calls▁end｜>",
    ),
    CallFormat(
        name="mistral_args",
        evidence=("[TOOL_CALLS]", "[ARGS]"),
        trigger="[TOOL_CALLS]",
        before_name="[TOOL_CALLS]",
        before_arguments="[ARGS]",
        after_arguments="",
        short_ids=True,
    ),
    CallFormat(
        name="mistral",
        evidence=("[TOOL_CALLS]",),
        trigger="[TOOL_CALLS]",
        opening="[TOOL_CALLS][",
        before_name='{"name": "',
        before_arguments='", "arguments": ',
        after_arguments="}",
        between=", ",
        closing="]",
        short_ids=True,
    ),
    CallFormat(
        name="granite",
        evidence=("<|tool_call|>", "available_tools"),
        trigger="<|tool_call|>",
        opening="<|tool_call|>[",
        before_name='{"name": "',
        before_arguments='", "arguments": ',
        after_arguments="}",
        between=", ",
        closing="]",
    ),
    CallFormat(
        name="minimax_m2",
        evidence=("<minimax:tool_call>",),
        trigger="<minimax:tool_call>",
        opening="<minimax:tool_call>\n",
        before_name='<invoke name="',
        before_arguments='">',
        after_arguments="\n</invoke>",
        between="\n",
        closing="\n</minimax:tool_call>",
        keyed=KeyedStyle('\n<parameter name="', '">', "</parameter>"),
    ),
    CallFormat(
        name="seed_oss",
        evidence=("<seed:tool_call>",),
        trigger="<seed:tool_call>",
        before_name="<seed:tool_call>\n<function=",
        before_arguments=">",
        after_arguments="\n</function>\n</seed:tool_call>",
        between="\n",
        keyed=KeyedStyle("\n<parameter=", ">", "</parameter>"),
    ),
    CallFormat(
        name="qwen3_coder",
        evidence=("<tool_call>", "<function=", "<parameter="),
        trigger="<tool_call>",
        before_name="<tool_call>\n<function=",
        before_arguments=">",
        after_arguments="\n</function>\n</tool_call>",
        between="\n",
        keyed=KeyedStyle("\n<parameter=", ">\n", "\n</parameter>"),
    ),
    CallFormat(
        name="glm47",
        evidence=("</arg_key><arg_value>",),
        trigger="<tool_call>",
        before_name="<tool_call>",
        before_arguments="",
        after_arguments="</tool_call>",
        keyed=KeyedStyle("<arg_key>", "</arg_key><arg_value>", "</arg_value>"),
    ),
    CallFormat(
        name="glm45",
        evidence=("<arg_key>",),
        trigger="<tool_call>",
        before_name="<tool_call>",
        before_arguments="",
        after_arguments="\n</tool_call>",
        between="\n",
        keyed=KeyedStyle("\n<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>"),
    ),
    CallFormat(
        name="olmo3",
        evidence=("<function_calls>",),
        trigger="<function_calls>",
        opening="<function_calls>\n",
        before_name="",
        before_arguments="(",
        after_arguments=")",
        between="\n",
        closing="\n</function_calls>",
        keyed=PYTHON,
    ),
    CallFormat(
        name="pythonic",
        evidence=("[func_name1(",),
        trigger="[",
        opening="[",
        before_name="",
        before_arguments="(",
        after_arguments=")",
        between=", ",
        closing="]",
        only_at_start=True,
        keyed=PYTHON,
    ),
    HERMES,
    CallFormat(
        name="llama3_json",
        evidence=('"parameters": ', '"name": '),
        trigger='{"name": "',
        before_name='{"name": "',
        before_arguments='", "parameters": ',
        after_arguments="}",
        between=None,
        only_at_start=True,
    ),
)
BY_NAME = {call_format.name: call_format for call_format in FORMATS}


def call_format_of(name: str, template_sources: Iterable[str]) -> CallFormat | None:
    """`name`: of a format, or auto for the one that the chat template shows, or none."""
    if name == "none":
        return None
    return detect(template_sources) if name == "auto" else BY_NAME[name]


def detect(template_sources: Iterable[str]) -> CallFormat:
    """The format that the template's text shows. Hermes, if it shows none."""
    text = "\0".join(template_sources)
    return next((known for known in FORMATS if all(evidence in text for evidence in known.evidence)), HERMES)
