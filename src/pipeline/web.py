"""What every web server of the project needs: comparisons that tell nothing by their time, secrets and certificates
that follow their files. The dashboard, the workers' metrics and the poller's metrics use it.
"""

import hashlib
import hmac
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from cryptography import x509

from pipeline.errors import SettingError

log = logging.getLogger(__name__)


def same(given: bytes, expected: bytes) -> bool:
    """Whether both are equal; how long it takes depends neither on what they share nor on the expected one's length."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())


def is_bearer(header: str, token: str) -> bool:
    """Whether an Authorization header brings this token."""
    scheme, _, given = header.partition(" ")
    return same(given.strip().encode("utf-8", "surrogateescape"), token.encode()) and scheme.lower() == "bearer"


class LastGood:
    """A secret that is read anew each time it is needed, so that its file may be replaced.

    Raises SettingError when it cannot be read at first; later the last one that could be read stays.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._value = read()
        self._told = ""

    def __call__(self) -> str:
        """The secret now."""
        try:
            self._value, self._told = self._read(), ""
        except SettingError as error:
            if str(error) != self._told:
                log.warning("%s; the one before stays", error)
            self._told = str(error)
        return self._value


class Certificate:
    """A server's certificate and key; files that are replaced are used from the next connection on.

    `setting` is what the settings' names begin with, as in `<setting>_certfile`. Raises SettingError with a sentence
    that names the setting when a file is missing, is no PEM, does not fit or has expired; after the first time this is
    logged, and the certificate before stays.
    """

    def __init__(self, setting: str, certfile: Path, keyfile: Path | None) -> None:
        self._setting = setting
        self._files = (certfile, keyfile or certfile)
        self._names = (f"{setting}_certfile", f"{setting}_keyfile" if keyfile else f"{setting}_certfile")
        self._lock = Lock()
        self._stamp = self._stamps()
        self._current = self._loaded()
        self.context = self._loaded()
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called by every handshake: the connection takes the newest certificate."""
        with self._lock:
            try:
                stamp = self._stamps()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._current = self._loaded()
                    log.info("setting %s_certfile: the certificate was replaced", self._setting)
            except SettingError as error:
                log.warning("%s; the certificate before stays", error)
            connection.context = self._current

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = []
        for file in self._files:
            try:
                stat = file.stat()
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                found.append((0, 0, 0))
        return found

    def _loaded(self) -> ssl.SSLContext:
        for name, file, kind in zip(self._names, self._files, ("CERTIFICATE", "PRIVATE KEY"), strict=True):
            _check(name, file, kind)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self._files)
        except ssl.SSLError as error:
            name, file = self._names[1], self._files[1]
            if error.reason == "KEY_VALUES_MISMATCH":
                why = f"that key does not fit the certificate of {self._names[0]}"
            else:
                why = f"certificate and key cannot be used: {error.reason or 'no PEM'}"
            raise SettingError(f"setting {name} is {str(file)!r}, but {why}") from None
        _require_current(self._names[0], self._files[0])
        return context


def metrics_certificate(certfile: Path | None, keyfile: Path | None) -> Certificate | None:
    """The certificate of the web of workers and poller, None for plain HTTP."""
    return None if certfile is None else Certificate("metrics_ssl", certfile, keyfile)


def _check(name: str, file: Path, kind: str) -> None:
    """Raise SettingError unless the file can be read and has a PEM block of this kind."""
    try:
        text = file.read_text("latin-1")
    except OSError as error:
        raise SettingError(f"setting {name} is {str(file)!r}, but that cannot be read: {error.strerror}") from None
    if f"{kind}-----" not in text:
        raise SettingError(f"setting {name} is {str(file)!r}, but that file has no PEM block of a {kind.lower()}")
    if kind == "PRIVATE KEY" and "ENCRYPTED" in text:
        raise SettingError(f"setting {name} is {str(file)!r}, but that key is encrypted: give one without a password")


def _require_current(name: str, file: Path) -> None:
    """Raise SettingError when the certificate, which is the first of the file, has expired: nobody would trust it."""
    try:
        ends = x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError):
        raise SettingError(f"setting {name} is {str(file)!r}, but it holds no certificate that can be read") from None
    if ends < datetime.now(UTC):
        raise SettingError(f"setting {name} is {str(file)!r}, but that certificate expired on {ends:%Y-%m-%d}")
