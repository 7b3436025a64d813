"""What a change means for an environment: the rendered diff, and a forecast of the rollout."""
