"""Runs in a pod, from the image: publishes the model that is in it as a repository of a hub. Prints a line for each request."""

import sys
import threading
from pathlib import Path

from weights.file_server import Asked, FileServer, running
from weights.hub_server import HubRepo


class Printed(list[Asked]):
    def append(self, asked: Asked) -> None:
        print(asked.method, asked.path, flush=True)


if __name__ == "__main__":
    server = FileServer(asked=Printed())
    files = {path.name: path.read_bytes() for path in Path(sys.argv[2]).iterdir() if path.name != "manifest.json"}
    HubRepo(server, sys.argv[1], files=files).publish()
    with running(server, ("", 8080)):
        threading.Event().wait()
