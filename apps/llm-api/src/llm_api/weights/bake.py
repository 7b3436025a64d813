"""`python -m llm_api.weights.bake FOLDER`: puts the default model into a container image, as FOLDER/<name>. The Dockerfile runs it."""

import shutil
import sys
import tempfile
from pathlib import Path

from llm_api.settings import DEFAULT_MODEL_URI
from llm_api.weights.errors import WeightsError
from llm_api.weights.progress import LineProgress
from llm_api.weights.resolve import resolve


def bake(folder: Path) -> Path:
    """Returns the model's folder. Raises WeightsError."""
    with tempfile.TemporaryDirectory() as cache:
        model = resolve(None, DEFAULT_MODEL_URI, Path(cache), LineProgress(lambda line: print(line, file=sys.stderr, flush=True)))
        target = folder / model.name
        shutil.copytree(model.path, target)
    return target


if __name__ == "__main__":
    try:
        print(bake(Path(sys.argv[1])))
    except WeightsError as failure:
        sys.exit(f"{failure}")
