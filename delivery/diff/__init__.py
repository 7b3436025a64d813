"""What a change of the tree means for an environment: rendered, compared, and what the rollout will be like."""
