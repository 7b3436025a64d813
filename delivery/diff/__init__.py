"""The effect of a change on an environment: the rendered diff, and a forecast of the rollout."""
