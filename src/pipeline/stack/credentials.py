"""The secrets of a secured local stack: its own authority, a certificate for each part, a password for each user.

```
<data_dir>/secrets/            for the owner's eyes only (mode 0700, files 0600)
  ca.pem ca.key                the authority; clients trust ca.pem
  ca.p12                       the same trust for the Java parts that read no PEM
  <name>.pem                   a key (PKCS #8), its certificate and the authority's, in one file
  <name>.crt <name>.key <name>.p12
  <user>.password              one line
  viewer.login                 user:password of the dashboard's page
```

Every certificate is for 127.0.0.1, ::1, localhost and what `hosts` adds, for servers and clients alike; its common name
is the part's. All of it is made once, by `make`; certificates that end within RENEW_BEFORE are made anew at the next
start, and all of them by `renew`.
"""

import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADMIN = "admin"
"""The stack's owner to every part: all rights."""
VIEWER = "viewer"
STORE_PASSWORD_USER = "keystores"
"""Java's stores want a password; the folder's mode is what protects them."""
CA_DAYS = 3_650
CERTIFICATE_DAYS = 397
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """The files of one certificate; `pem` holds key and chain, `store` the same as PKCS #12."""

    name: str
    pem: Path
    certificate: Path
    key: Path
    store: Path


class Secrets:
    """The folder of secrets; nothing is created before `make`.

    `hosts` gives the certificates of some parts further names of hosts.
    """

    def __init__(self, folder: Path, hosts: Mapping[str, Sequence[str]] | None = None) -> None:
        self.folder = folder
        self._hosts = hosts or {}
        self.ca = folder / "ca.pem"
        self.truststore = folder / "ca.p12"
        self._ca_key = folder / "ca.key"

    def make(self, names: Iterable[str], users: Iterable[str]) -> None:
        """Make what is missing: the authority, these certificates and these users' passwords."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for user in (STORE_PASSWORD_USER, *users):
            if not self.password_file(user).exists():
                write_private(self.password_file(user), f"{secrets.token_urlsafe(24)}\n".encode())
        if not self.login_file.exists():
            write_private(self.login_file, f"{VIEWER}:{secrets.token_urlsafe(12)}\n")
        if not (self.ca.exists() and self._ca_key.exists()):
            self._make_authority()
        for name in names:
            if self._is_ending(self.identity(name).certificate):
                self._issue(name)

    def renew(self, names: Iterable[str]) -> None:
        """New certificates and keys in the place of the old ones, of the same authority."""
        for name in names:
            self._issue(name)

    def identity(self, name: str) -> Identity:
        """The files of a part's certificate."""
        return Identity(name, *(self.folder / f"{name}.{kind}" for kind in ("pem", "crt", "key", "p12")))

    def client_context(self, name: str | None = None) -> ssl.SSLContext:
        """For a client that trusts the stack's authority, and shows the certificate of this name, if any."""
        context = ssl.create_default_context(cafile=self.ca)
        if name is not None:
            context.load_cert_chain(self.identity(name).pem)
        return context

    def password_file(self, user: str) -> Path:
        """The file with a user's password."""
        return self.folder / f"{user}.password"

    @property
    def login_file(self) -> Path:
        """The file with the name and password that the dashboard's page asks for, as user:password."""
        return self.folder / f"{VIEWER}.login"

    def password(self, user: str) -> str:
        """A user's password; letters, digits, `-` and `_`."""
        return self.password_file(user).read_text("ascii").strip()

    @property
    def store_password(self) -> str:
        """The password of every PKCS #12 file here."""
        return self.password(STORE_PASSWORD_USER)

    def _is_ending(self, certificate: Path) -> bool:
        try:
            end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
        except (OSError, ValueError):
            return True
        return end - datetime.now(UTC) < RENEW_BEFORE

    def _make_authority(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("pipeline local authority")
        certificate = (
            _builder(name, name, key.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._ca_key, _pem(key))
        write_private(
            self.truststore,
            pkcs12.serialize_java_truststore(
                [pkcs12.PKCS12Certificate(certificate, b"pipeline")], BestAvailableEncryption(self._store_secret)
            ),
        )
        write_private(self.ca, certificate.public_bytes(Encoding.PEM))

    def _issue(self, name: str) -> None:
        authority = x509.load_pem_x509_certificate(self.ca.read_bytes())
        authority_key = load_pem_private_key(self._ca_key.read_bytes(), None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.DNSName(host) for host in ("localhost", *self._hosts.get(name, ()))]
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
        certificate = (
            _builder(_name(name), authority.subject, key.public_key(), CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName([*hosts, *addresses]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        files = self.identity(name)
        chain = certificate.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)
        store = pkcs12.serialize_key_and_certificates(
            name.encode(), key, certificate, [authority], BestAvailableEncryption(self._store_secret)
        )
        write_private(files.key, _pem(key))
        write_private(files.store, store)
        write_private(files.pem, _pem(key) + chain)
        write_private(files.certificate, chain)

    @property
    def _store_secret(self) -> bytes:
        return self.store_password.encode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path: Path, content: bytes | str) -> None:
    """Write the file whole or not at all, readable by its owner alone from its first byte."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)
