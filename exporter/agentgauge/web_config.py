"""Who may scrape, in the file that Prometheus and its exporters take as ``--web.config.file``.

::

    tls_server_config:
      cert_file: server.pem            # relative to this file
      key_file: server.key
      client_auth_type: RequireAndVerifyClientCert
      client_ca_file: clients.pem
    basic_auth_users:
      prometheus: $2y$10$…             # bcrypt, as `htpasswd -nBC 10 prometheus` prints it

What cannot be had here is refused, never ignored, save HTTP/2, which is only another way to say the same.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentgauge.files.yaml_file import Block, YamlFileError, read_yaml

CLIENT_CERTIFICATES = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
TLS_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
HIGHEST_COST = 14
"""Of a password's hash: a second or so. Each step more takes twice as long, and the highest, 31, takes days."""
_HASH = re.compile(rb"(\$2[abxy]\$)([0-9]{2})(\$[./A-Za-z0-9]{53})")
MOST_REMEMBERED = 100
LONGEST_PASSWORD = 72
"""Bytes; bcrypt looks at no more."""


class WebConfigError(YamlFileError):
    """A web-config file says something that cannot be used; the message holds file, line, field and remedy."""


@dataclass(frozen=True)
class Users:
    """Names and the bcrypt hashes of their passwords. A hash takes long on purpose: what was right is remembered."""

    hashes: Mapping[str, bytes]
    _right: set[bytes] = field(default_factory=set)

    def admit(self, authorization: str) -> bool:
        """Whether a header ``Authorization`` brings the password of a user."""
        import bcrypt

        given = _name_and_password(authorization)
        if given is None:
            return False
        name, password = given
        remembered = hashlib.sha256(authorization.encode()).digest()
        if remembered in self._right:
            return True
        # For an unknown name, too: an answer that comes sooner would tell who is known.
        expected = self.hashes.get(name) or next(iter(self.hashes.values()))
        is_right = bcrypt.checkpw(password[:LONGEST_PASSWORD], expected) and name in self.hashes
        if is_right and len(self._right) < MOST_REMEMBERED:
            self._right.add(remembered)
        return is_right


@dataclass(frozen=True)
class WebConfig:
    """What a file says: TLS and its certificate (a path), and users; None for what it leaves out."""

    tls: ssl.SSLContext | None
    certificate: str | None
    users: Users | None


def read(path: Path) -> WebConfig:
    """Read the file and the certificates that it names.

    Raises WebConfigError at the first mistake, and ImportError if PyYAML or bcrypt is not installed.
    """
    try:
        import bcrypt  # noqa: F401  # needed at the first scrape, which is too late to say so

        file = read_yaml(path, error_class=WebConfigError)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'{path.name} needs {error.name}, which is not installed: pip install "agentgauge[web-config]"'
        ) from None
    if file.value is None:  # an empty file
        return WebConfig(None, None, None)
    file.only("tls_server_config", "http_server_config", "basic_auth_users")
    if "http_server_config" in file.fields:
        file.block("http_server_config").only("http2")
    tls = file.fields.get("tls_server_config")
    users = file.fields.get("basic_auth_users")
    context = None if tls is None else _tls(tls, path.parent)
    certificate = None if tls is None else str(path.parent / tls.text("cert_file"))
    return WebConfig(context, certificate, None if users is None or not users.fields else _users(users))


def _tls(block: Block, folder: Path) -> ssl.SSLContext:
    block.only(
        "cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version",
        "prefer_server_cipher_suites",
    )  # fmt: skip  # one list reads better than one name a line
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, version in (("min_version", "minimum_version"), ("max_version", "maximum_version")):
        if name in block.fields:
            setattr(context, version, TLS_VERSIONS[_one_of(block.block(name), TLS_VERSIONS)])
    try:
        context.load_cert_chain(folder / block.text("cert_file"), folder / block.text("key_file"))
    except (OSError, ssl.SSLError) as error:
        raise block.error("cert_file", f"certificate or key cannot be used: {error.strerror or error}") from None
    if "client_auth_type" in block.fields:
        kind = block.block("client_auth_type")
        context.verify_mode = CLIENT_CERTIFICATES[_one_of(kind, CLIENT_CERTIFICATES)]
    if context.verify_mode is not ssl.CERT_NONE:
        _trust(context, block, folder)
    elif "client_ca_file" in block.fields:
        raise block.error("client_ca_file", "is not used unless client_auth_type asks for certificates")
    return context


def _trust(context: ssl.SSLContext, block: Block, folder: Path) -> None:
    try:
        context.load_verify_locations(folder / block.text("client_ca_file"))
    except (OSError, ssl.SSLError) as error:
        raise block.error("client_ca_file", f"cannot be used: {error.strerror or error}") from None


def _one_of(block: Block, known: Mapping[str, object]) -> str:
    if block.text() not in known:
        raise block.error((), f"{block.written} cannot be had here; the known ones are {', '.join(known)}")
    return block.text()


def _users(block: Block) -> Users:
    import bcrypt

    hashes = {}
    for name, hashed in block.fields.items():
        hashes[name] = hashed.text().encode()
        parts = _HASH.fullmatch(hashes[name])
        try:
            if parts is None:
                raise ValueError
            bcrypt.checkpw(b"", parts[1] + b"04" + parts[3])  # the same at the least cost, to see whether it is one
        except ValueError:
            raise hashed.error((), f"is not a bcrypt hash; make one: htpasswd -nBC 10 {name}") from None
        if int(parts[2]) > HIGHEST_COST:
            raise hashed.error(
                (),
                f"costs {int(parts[2])}, which takes too long at each first scrape; make one of 10 to {HIGHEST_COST}",
            )
    return Users(hashes)


def _name_and_password(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except ValueError:
        return None
