"""Checks for `make` targets and workflows: manifests, images, charts, pins, and the selection of checks for a change."""
