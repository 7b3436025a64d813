"""A local certificate authority and a server certificate that it signs, made with openssl. Only their owner can read the keys."""

import ipaddress
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from proxy import ProxyError
from proxy.settings import ProxySettings

CA_DAYS = 3650
SERVER_DAYS = 397  # the longest that browsers accept
RENEW_SECONDS = 30 * 86400
EXTENSIONS = """
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName={names}
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """`ca`: the certificate that clients must trust; None for a certificate that TLS_CERTIFICATE names."""

    chain: Path
    key: Path
    ca: Path | None


def certificate(settings: ProxySettings) -> Certificate:
    """The certificate that the settings name, or a local one. A local one is made if it is missing or expires within 30 days.

    Raises ProxyError.
    """
    if settings.tls_certificate or settings.tls_key:
        if not (settings.tls_certificate and settings.tls_key):
            raise ProxyError("only one of TLS_CERTIFICATE and TLS_KEY is set: set both, or neither for a local CA")
        return Certificate(settings.tls_certificate.absolute(), settings.tls_key.absolute(), None)
    folder = settings.home / "tls"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = _authority(folder)
    return _server(folder, ca, [name.strip() for name in settings.tls_names.split(",") if name.strip()])


def _authority(folder: Path) -> Certificate:
    ca = Certificate(folder / "ca.pem", folder / "ca.key", folder / "ca.pem")
    if not _lasts(ca.chain):
        _new_key(ca.key)
        constraints = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        subject = ["-subj", "/CN=llm-api local CA", "-days", str(CA_DAYS)]
        _openssl("req", "-x509", "-new", "-key", str(ca.key), *subject, *constraints, "-out", str(ca.chain))
    return ca


def _server(folder: Path, ca: Certificate, names: list[str]) -> Certificate:
    server = Certificate(folder / "server.pem", folder / "server.key", ca.chain)
    extensions = folder / "server.ext"
    wanted = EXTENSIONS.format(names=",".join(map(_alternative_name, names)))
    current = extensions.exists() and extensions.read_text(encoding="utf-8") == wanted and _issued_by(ca, server)
    if not (current and _lasts(server.chain)):
        extensions.write_text(wanted, encoding="utf-8")
        _new_key(server.key)
        request = _openssl("req", "-new", "-key", str(server.key), "-subj", f"/CN={names[0]}")
        issuer = ["-CA", str(ca.chain), "-CAkey", str(ca.key), "-CAcreateserial", "-days", str(SERVER_DAYS)]
        _openssl("x509", "-req", *issuer, "-extfile", str(extensions), "-out", str(server.chain), text=request)
    return server


def _issued_by(ca: Certificate, server: Certificate) -> bool:
    return server.chain.exists() and _succeeds("verify", "-CAfile", str(ca.chain), str(server.chain))


def _lasts(certificate: Path) -> bool:
    return certificate.exists() and _succeeds("x509", "-in", str(certificate), "-noout", "-checkend", str(RENEW_SECONDS))


def _alternative_name(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _new_key(path: Path) -> None:
    """Only the owner can read the file, even while it is written."""
    key = _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)


def _openssl(*arguments: str, text: str | None = None) -> str:
    done = _run(arguments, text)
    if done.returncode:
        raise ProxyError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _succeeds(*arguments: str) -> bool:
    return _run(arguments).returncode == 0


def _run(arguments: tuple[str, ...], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise ProxyError(
            "openssl, which makes the certificates, is not installed: install it, or set TLS_CERTIFICATE and TLS_KEY"
        ) from None
