"""Promotes the image of dev to prod with a pull request that describes the rollout."""
