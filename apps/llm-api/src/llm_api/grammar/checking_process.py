"""Compiles grammars for `GrammarChecker`, in a process that can be killed: a small schema may keep the compiler busy for hours.

Reads and writes frames: the length of a text in 4 bytes, big endian, and the text. The answer to a grammar is an error, or nothing.
A grammar that takes more than CPU_SECONDS ends the process by SIGPROF. The limit is CPU time, so that a busy machine refuses nothing.
"""

import resource
import signal
import sys

from llguidance import LLMatcher, LLParserLimits

LENGTH_BYTES = 4
CPU_SECONDS = 1.0
MEMORY = 512 * 1024**2  # bytes of address space; schemas of 500 KB take 150 MiB


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = LLParserLimits(verbose_errors=False)
    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    while header := reader.read(LENGTH_BYTES):
        grammar = reader.read(int.from_bytes(header, "big")).decode()
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = LLMatcher.validate_grammar(grammar, limits=limits).encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        writer.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        writer.flush()


if __name__ == "__main__":
    main()
