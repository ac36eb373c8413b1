"""Certificates for tests, made on the spot."""

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.stack import credentials
from pipeline.stack.credentials import Secrets


def write_certificate(folder: Path, name: str, hours: float = 1) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself, as `<name>.pem` and `<name>.key`; it ends in so many hours."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=48))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    certfile, keyfile = folder / f"{name}.pem", folder / f"{name}.key"
    certfile.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    keyfile.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certfile, keyfile


def issue_ended(secrets: Secrets, *names: str) -> None:
    """Give these names certificates of the right authority that ended a day ago."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "CLOCK_SKEW", datetime.timedelta(days=3))
        patch.setattr(credentials, "CERTIFICATE_DAYS", -1)
        secrets.renew(names)
