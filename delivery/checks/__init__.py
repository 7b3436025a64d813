"""What `make` targets and workflows check: manifests, images, charts, pins, and which checks a change needs."""
