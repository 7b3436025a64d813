"""Gets a model's weights and makes them ready to serve.

`resolve` is the entry point. `sources/` fetches from where the weights are, `folder` and `checksums` verify, `converter` converts,
`cache` keeps the result. No settings and no torch here: the conversion runs in a process of its own.
"""
