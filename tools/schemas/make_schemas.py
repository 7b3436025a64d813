"""Writes the schemas that `make manifests` validates with, from the Go modules in sources.yaml: `make_schemas.py [--go PATH]`."""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from strict_schema import from_crd, from_swagger

HERE = Path(__file__).parent
Schema = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go", help="Go, at least the version in go.mod")
    go = parser.parse_args().go
    sources = yaml.safe_load((HERE / "sources.yaml").read_text(encoding="utf-8"))
    sums: dict[str, str] = {}
    for folder, source in sources["kubernetes"].items():
        swagger = json.loads((_module(go, source, sums) / "api/openapi-spec/swagger.json").read_text(encoding="utf-8"))
        _write(HERE / folder, from_swagger(swagger, sources["kinds"]))
    crds = [*_published(go, sources["crds"], sums), *_generated(go, sources["generated"])]
    _write(HERE / "crds", (schema for crd in crds for schema in from_crd(crd)))
    (HERE / "sums.json").write_text(json.dumps(sums, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _module(go: str, source: dict[str, str], sums: dict[str, str]) -> Path:
    """The folder of a module in Go's cache. A checksum that is not the recorded one ends this."""
    name = f"{source['module']}@{source['version']}"
    found = json.loads(_run(go, "mod", "download", "-json", name))
    recorded = json.loads((HERE / "sums.json").read_text(encoding="utf-8")) if (HERE / "sums.json").exists() else {}
    if recorded.get(name, found["Sum"]) != found["Sum"]:
        raise SystemExit(f"{name}: checksum {found['Sum']}, recorded {recorded[name]} in tools/schemas/sums.json")
    sums[name] = found["Sum"]
    return Path(found["Dir"])


def _published(go: str, sources: list[dict[str, Any]], sums: dict[str, str]) -> Iterator[Schema]:
    for source in sources:
        folder = _module(go, source, sums)
        for file in source["files"]:
            yield yaml.safe_load((folder / file).read_text(encoding="utf-8"))


def _generated(go: str, packages: list[str]) -> Iterator[Schema]:
    generator = ("run", "-p", "1", "sigs.k8s.io/controller-tools/cmd/controller-gen", "crd:generateEmbeddedObjectMeta=true")
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            _run(go, *generator, f"paths={package}", f"output:crd:dir={folder}")
        for file in sorted(Path(folder).iterdir()):
            yield yaml.safe_load(file.read_text(encoding="utf-8"))


def _run(*command: str) -> str:
    return subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def _write(folder: Path, schemas: Iterator[tuple[str, Schema]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, schema in schemas:
        text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
