"""Reads CRDs from the Go modules in sources.yaml: `modules.py --go PATH NAME ...` prints those of modules whose name contains NAME."""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SUMS = HERE / "sums.json"
Document = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go", help="Go, at least the version in go.mod")
    parser.add_argument("--beside", action="store_true", help="also print the other CRDs in the same folders")
    parser.add_argument("names", nargs="+", help="cert-manager, keda, ...")
    given = parser.parse_args()
    pinned = sources()
    chosen = [source for source in pinned["crds"] if any(name in source["module"] for name in given.names)]
    packages = [package for package in pinned["generated"] if any(name in package for name in given.names)]
    documents = (beside if given.beside else published)(given.go, chosen, {})
    print(yaml.safe_dump_all([*documents, *generated(given.go, packages)]))


def sources() -> Document:
    return yaml.safe_load((HERE / "sources.yaml").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def published(go: str, chosen: list[Document], sums: dict[str, str]) -> Iterator[Document]:
    """The documents in the files of each source. Adds the checksums of the modules to `sums`."""
    for source in chosen:
        folder = module(go, source, sums)
        for file in source["files"]:
            yield yaml.safe_load((folder / file).read_text(encoding="utf-8"))


def beside(go: str, chosen: list[Document], sums: dict[str, str]) -> Iterator[Document]:
    """All CRDs in the folders of each source: some controllers do not start without CRDs that are not used here."""
    for source in chosen:
        folder = module(go, source, sums)
        for parent in sorted({(folder / file).parent for file in source["files"]}):
            for file in sorted(parent.glob("*.yaml")):
                yield yaml.safe_load(file.read_text(encoding="utf-8"))


def generated(go: str, packages: list[str]) -> Iterator[Document]:
    """Generates the CRDs of Go packages that publish only the types."""
    generator = ("run", "-p", "1", "sigs.k8s.io/controller-tools/cmd/controller-gen", "crd:generateEmbeddedObjectMeta=true")
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            run(go, *generator, f"paths={package}", f"output:crd:dir={folder}")
        for file in sorted(Path(folder).iterdir()):
            yield yaml.safe_load(file.read_text(encoding="utf-8"))


def module(go: str, source: Document, sums: dict[str, str]) -> Path:
    """The folder of a module in Go's cache. Exits if its checksum differs from the recorded one."""
    name = f"{source['module']}@{source['version']}"
    found = json.loads(run(go, "mod", "download", "-json", name))
    recorded = json.loads(SUMS.read_text(encoding="utf-8")) if SUMS.exists() else {}
    if recorded.get(name, found["Sum"]) != found["Sum"]:
        raise SystemExit(f"{name}: checksum {found['Sum']}, recorded {recorded[name]} in tools/schemas/sums.json")
    sums[name] = found["Sum"]
    return Path(found["Dir"])


def run(*command: str) -> str:
    return subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


if __name__ == "__main__":
    main()
