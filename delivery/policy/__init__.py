"""The invariants of every rendered overlay: invariants.py names them, table.py has the functions that check them."""
