"""dev's image to prod, by a pull request that says what it will do."""
