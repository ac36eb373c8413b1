"""TLS contexts from the files that settings name, and what is wrong with a certificate in one sentence."""

import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from pipeline.errors import SettingError
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """The names of the settings of one system's TLS: authorities, own certificate, its key, the key's password."""

    ca: str
    certificate: str
    key: str
    key_password: str = ""

    def context(self, settings: Settings, *, check_hostname: bool = True, verify: bool = True) -> ssl.SSLContext:
        """A client's context, TLS 1.2 or newer; without authorities of one's own the system's are trusted.

        Raises SettingError for a file that is missing, holds no certificate, or one that has ended, and for a key that
        is not the certificate's.
        """
        ca, certificate, key = ((name, getattr(settings, name)) for name in (self.ca, self.certificate, self.key))
        password = settings.secret(self.key_password) if self.key_password else ""
        context = client_context(ca, certificate, key, password)
        context.check_hostname = check_hostname and verify
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
        return context


Named = tuple[str, Path | None]


def client_context(ca: Named, cert: Named, key: Named, password: str = "") -> ssl.SSLContext:
    """Whom a client trusts and what it shows; each file comes with its setting's name.

    Raises SettingError that names setting, file and reason.
    """
    if ca[1] is None:
        context = ssl.create_default_context()
    else:
        _require_pem(ca[0], ca[1], "CERTIFICATE")
        try:
            context = ssl.create_default_context(cafile=str(ca[1]))
        except (ssl.SSLError, OSError):
            raise _unusable(ca[0], ca[1], "it holds no certificate that can be read") from None
    if cert[1] is None:
        if key[1] is not None:
            raise SettingError(f"setting {key[0]} is {str(key[1])!r}, but {cert[0]} is empty: whose key is it?")
        return context
    _require_valid(cert[0], cert[1])
    key_name, key_file = (cert[0], cert[1]) if key[1] is None else (key[0], key[1])
    text = _require_pem(key_name, key_file, "PRIVATE KEY")
    if "ENCRYPTED" in text and not password:
        raise _unusable(key_name, key_file, "its key is encrypted with a password")
    try:
        context.load_cert_chain(cert[1], key_file, lambda: password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _unusable(key_name, key_file, f"its key does not fit the certificate of {cert[0]}") from None
        raise _unusable(key_name, key_file, "its key cannot be read, maybe for a wrong password") from None
    return context


def _unusable(name: str, file: Path, why: str) -> SettingError:
    return SettingError(f"setting {name} is {str(file)!r}, but {why}")


def _require_pem(name: str, file: Path, kind: str) -> str:
    """The file's text, which has a part of this kind."""
    try:
        text = file.read_text("ascii")
    except OSError as error:
        raise _unusable(name, file, f"that cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unusable(name, file, "that is no PEM file") from None
    if "-----BEGIN " not in text:
        raise _unusable(name, file, "that is no PEM file")
    if f"{kind}-----" not in text:
        raise _unusable(name, file, f"there is no {kind.lower()} in it")
    return text


def _require_valid(name: str, file: Path) -> None:
    """Raise SettingError when one's own certificate cannot be read or has expired."""
    text = _require_pem(name, file, "CERTIFICATE")
    try:
        own = x509.load_pem_x509_certificates(text.encode())[0]
    except ValueError:
        raise _unusable(name, file, "it holds no certificate that can be read") from None
    if own.not_valid_after_utc < datetime.now(UTC):
        raise _unusable(name, file, f"that certificate expired on {own.not_valid_after_utc:%Y-%m-%d}")


def handshake_problem(error: BaseException, part: str, tls: Tls, protocol: str) -> str | None:
    """Why a TLS connection to `part` was not made; None where TLS is not the reason.

    `protocol` is the setting that says whether TLS is spoken.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verification(error, part, tls)
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or str(error)
    if re.search("WRONG_VERSION_NUMBER|UNEXPECTED_EOF|HTTP_REQUEST|RECORD_LAYER_FAILURE|PACKET_LENGTH", reason):
        return f"{part} does not speak TLS, but setting {protocol} says that it does"
    if re.search("ALERT|CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE", reason):
        return f"{part} refuses the certificate of setting {tls.certificate}, or wants one: {told(reason)}"
    return f"{part} and this client agree on no TLS (settings {protocol}, {tls.ca}): {told(reason)}"


def _verification(error: ssl.SSLCertVerificationError, part: str, tls: Tls) -> str:
    why = error.verify_message
    if "expired" in why:
        return f"the certificate of {part}, or of an authority in setting {tls.ca}, has ended"
    if "mismatch" in why.lower() or "not valid for" in why:
        return f"the certificate of {part} is for another name: {why}"
    return f"the certificate of {part} is from no authority of setting {tls.ca}: {why}"


def unverified_context() -> ssl.SSLContext:
    """For asking whether a port speaks TLS; nothing secret goes this way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def told(reason: str) -> str:
    """OpenSSL's reason in small letters."""
    return reason.replace("_", " ").lower()
