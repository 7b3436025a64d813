"""Compiles grammars for `GrammarChecker`, in a process that can be killed: a small schema may keep the compiler busy for hours.

Reads and writes frames: the length of a text in 4 bytes, big endian, and the text. The answer to a grammar is an error, or nothing.
"""

import resource
import sys

from llguidance import LLMatcher, LLParserLimits

LENGTH_BYTES = 4
MEMORY = 2 * 1024**3  # bytes of address space


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    limits = LLParserLimits(verbose_errors=False)
    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    while header := reader.read(LENGTH_BYTES):
        grammar = reader.read(int.from_bytes(header, "big")).decode()
        answer = LLMatcher.validate_grammar(grammar, limits=limits).encode()
        writer.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        writer.flush()


if __name__ == "__main__":
    main()
