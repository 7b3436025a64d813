"""The instruction sets that the C++ library supports. A CPU has some of them."""

INSTRUCTIONS = ("avx512_bf16", "avx512_vnni", "avx512", "avx2", "plain")
