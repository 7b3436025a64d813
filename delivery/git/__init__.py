"""Git as delivery uses it: a clone, its remote, release tags. Nothing here touches the working tree."""
