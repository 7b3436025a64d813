"""Generates the JSON schemas for `make manifests` from the Go modules in sources.yaml: `make_schemas.py [--go PATH]`."""

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from modules import HERE, SUMS, generated, module, published, sources
from strict_schema import Schema, from_crd, from_swagger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go", help="Go, at least the version in go.mod")
    go = parser.parse_args().go
    pinned = sources()
    sums: dict[str, str] = {}
    for folder, source in pinned["kubernetes"].items():
        swagger = json.loads((module(go, source, sums) / "api/openapi-spec/swagger.json").read_text(encoding="utf-8"))
        _write(HERE / folder, from_swagger(swagger, pinned["kinds"]))
    crds = [*published(go, pinned["crds"], sums), *generated(go, pinned["generated"])]
    _write(HERE / "crds", (schema for crd in crds for schema in from_crd(crd)))
    SUMS.write_text(json.dumps(sums, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write(folder: Path, schemas: Iterator[tuple[str, Schema]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, schema in schemas:
        text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
