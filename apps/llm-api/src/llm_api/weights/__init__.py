"""Gets a model's weights and makes them ready to serve.

`resolve` is the entry point. `sources/` fetches the files, `folder` and `checksums` verify them, `converter` converts them,
`cache` keeps the result. No settings and no torch here: the conversion runs in a separate process.
"""
