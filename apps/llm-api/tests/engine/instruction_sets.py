"""The instruction sets that the library knows; a CPU has some of them."""

INSTRUCTIONS = ("avx512_bf16", "avx512_vnni", "avx512", "avx2", "plain")
