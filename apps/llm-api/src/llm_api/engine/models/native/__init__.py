"""The fast path on a CPU: a whole step in one call of our C++ library (apps/llm-api/native)."""
