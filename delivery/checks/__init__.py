"""What GitHub's workflows ask besides delivery: what a change can break, whether all that was needed passed, what an image brings along."""
