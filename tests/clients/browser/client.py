"""A page in headless Chromium, from another origin than the service's. It reports to the server that it came from."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

PAGE = Path(__file__).with_name("page.html").read_bytes()
SETTINGS = {"base": os.environ["BASE_URL"], "key": os.environ["API_KEY"], "model": os.environ["MODEL"]}
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SECONDS = 60
reported: SimpleQueue[bytes] = SimpleQueue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/settings":
            self._answer("application/json", json.dumps(SETTINGS).encode())
        else:
            self._answer("text/html; charset=utf-8", PAGE)

    def do_POST(self) -> None:
        reported.put(self.rfile.read(int(self.headers["content-length"])))
        self._answer("text/plain", b"")

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit("no browser is installed: apt-get install chromium-headless-shell")
    printed = subprocess.run([browser, "--no-sandbox", "--version"], capture_output=True, text=True, check=True).stdout
    version = next(word for word in printed.split() if word[0].isdigit())
    print(json.dumps({"client": "chromium", "version": version}), flush=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = f"http://127.0.0.1:{server.server_port}/"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Chromium's sandbox refuses to run as root, as CI does. A debugging port keeps it open after the page has loaded.
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        # In a process group of its own: Debian's chromium is a shell script, and the browser its child.
        process = subprocess.Popen([browser, *options, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            for line in json.loads(reported.get(timeout=SECONDS)):
                print(json.dumps(line), flush=True)
        except Empty:
            raise SystemExit(f"the page reported nothing within {SECONDS} s") from None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    main()
