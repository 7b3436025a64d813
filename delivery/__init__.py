"""Brings images to environments by commits, and checks the manifests: `python -m delivery --help`."""
