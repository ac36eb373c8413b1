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
        authorities: Path | None = getattr(settings, self.ca)
        if authorities is not None:
            _require_valid(self.ca, authorities)
        context = ssl.create_default_context(cafile=authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = check_hostname and verify
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
        certificate: Path | None = getattr(settings, self.certificate)
        if certificate is not None:
            self._show(settings, context, certificate)
        elif getattr(settings, self.key) is not None:
            raise SettingError(f"setting {self.key} is set, but {self.certificate} is not")
        return context

    def _show(self, settings: Settings, context: ssl.SSLContext, certificate: Path) -> None:
        _require_valid(self.certificate, certificate)
        key: Path | None = getattr(settings, self.key)
        if key is not None:
            _read(self.key, key)
        password = settings.secret(self.key_password) if self.key_password else ""
        try:
            # a password that is asked for and not there must not be asked for at the terminal
            context.load_cert_chain(certificate, key, password or (lambda: b""))
        except ssl.SSLError as error:
            named, path = (self.key, key) if key is not None else (self.certificate, certificate)
            why = f"it is not the key of {self.certificate}" if "MISMATCH" in (error.reason or "") else ""
            why = why or f"no key can be read from it{' with ' + self.key_password if self.key_password else ''}"
            raise SettingError(f"setting {named} is {str(path)!r}, but {why}") from None


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"setting {setting} is {str(path)!r}, but that cannot be read: {error.strerror}") from None


def _require_valid(setting: str, path: Path) -> None:
    """Raise SettingError unless the file has certificates, of which at least one has not ended."""
    try:
        found = x509.load_pem_x509_certificates(_read(setting, path))
    except ValueError:
        raise SettingError(f"setting {setting} is {str(path)!r}, but there is no certificate (PEM) in it") from None
    ends = [certificate.not_valid_after_utc for certificate in found]
    first_to_judge = ends[:1] if setting.endswith(("certfile", "cert")) else ends
    if all(end < datetime.now(UTC) for end in first_to_judge):
        raise SettingError(
            f"setting {setting} is {str(path)!r}, but that certificate ended on {max(first_to_judge):%Y-%m-%d}"
        )


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


def told(reason: str) -> str:
    """OpenSSL's reason in small letters."""
    return reason.replace("_", " ").lower()
