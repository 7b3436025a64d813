"""Runs in a pod of the image: a model hub that publishes the image's model as a repository. Prints a line for each request."""

import logging
import sys
import threading
from pathlib import Path

from weights.file_server import FileServer, Request, running
from weights.hub_server import HubRepo


class Printed(list[Request]):
    def append(self, request: Request) -> None:
        logging.info("%s %s", request.method, request.path)  # print writes a line in several pieces, which threads would mix


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    server = FileServer(requests=Printed())
    files = {path.name: path.read_bytes() for path in Path(sys.argv[2]).iterdir() if path.name != "manifest.json"}
    HubRepo(server, sys.argv[1], files=files).publish()
    with running(server, ("", 8080)):
        threading.Event().wait()
