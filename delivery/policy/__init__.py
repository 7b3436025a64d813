"""The invariants of every rendered overlay: invariants.py names them, table.py says which function checks each."""
