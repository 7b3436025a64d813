"""The invariants of every rendered overlay, as code: invariants.py lists them."""
