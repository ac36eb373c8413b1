"""How the HTTP clients of the registry and of Pinot are secured, and what is told when a connection is refused.

Every client is made with the options of a `Peer`. An address may carry user:password; they are used, and never told.
"""

import base64
import socket
import ssl
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.tls import Tls, told, unverified_context

UrlSetting = Literal["registry_url", "pinot_controller_url", "pinot_broker_url"]
CALLED: dict[UrlSetting, str] = {
    "registry_url": "the schema registry",
    "pinot_controller_url": "the Pinot controller",
    "pinot_broker_url": "the Pinot broker",
}
REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
GREETING_TIMEOUT_S = 2.0
EXPIRED, NOT_YET_VALID, WRONG_NAME, WRONG_ADDRESS = 10, 9, 62, 64
UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 24, 27)
"""What OpenSSL calls a certificate that nobody who is trusted has signed."""
NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL")
CERTIFICATE_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")


class Peer:
    """One server that is spoken to by HTTP. Raises SettingError where the settings cannot be used."""

    def __init__(self, settings: Settings, url_setting: UrlSetting) -> None:
        self._settings = settings
        self._url_setting = url_setting
        self.called = CALLED[url_setting]
        self._prefix = url_setting.partition("_")[0]
        self._parts = _split(url_setting, getattr(settings, url_setting))
        self.url = without_user(getattr(settings, url_setting)).rstrip("/")

    def options(self) -> dict[str, Any]:
        """The options of an httpx client: whom it trusts, what it shows, who it says it is. Files are read now."""
        return {"verify": self._context(), "auth": self._auth(), "trust_env": False}

    def _context(self) -> ssl.SSLContext:
        return Tls(*(f"{self._prefix}_ssl_{kind}" for kind in ("cafile", "certfile", "keyfile"))).context(
            self._settings
        )

    def _auth(self) -> httpx.Auth | None:
        given = self._authorization()
        if given is None:
            return None
        given()  # what is wrong with a setting is told at once
        return _FreshAuth(given)

    def _authorization(self) -> Callable[[], str] | None:
        """What makes the Authorization header; its secrets are read again each time."""
        secret = self._settings.secret
        if self._prefix == "registry":
            if self._is_set("registry_bearer_auth_token"):
                return lambda: f"Bearer {secret('registry_bearer_auth_token')}"
            if self._is_set("registry_basic_auth_user_info"):
                return lambda: basic(*_user_info(secret("registry_basic_auth_user_info")))
        else:
            user = self._settings.pinot_user
            if self._is_set("pinot_auth_token"):
                return lambda: secret("pinot_auth_token")
            if user and not self._is_set("pinot_password"):
                raise SettingError(f"setting pinot_user is {user!r}, but there is no pinot_password")
            if user:
                return lambda: basic(user, secret("pinot_password"))
            if self._is_set("pinot_password"):
                raise SettingError("setting pinot_password is given, but pinot_user is empty")
        if self._parts.username is not None:
            header = basic(unquote(self._parts.username), unquote(self._parts.password or ""))
            return lambda: header
        return None

    def _is_set(self, secret: str) -> bool:
        file = getattr(self._settings, f"{secret}_file")
        return file is not None or bool(getattr(self._settings, secret).get_secret_value())

    def refused(self, status: int) -> str:
        """The sentence for HTTP 401 and 403."""
        at = f"{self.called} at {self.url}"
        who = self._credentials()
        if who is None:
            asks = "registry_basic_auth_user_info or registry_bearer_auth_token"
            if self._prefix == "pinot":
                asks = "pinot_user or pinot_auth_token"
            return f"{at} asks who is there, but neither {asks.replace(' or ', ' nor ')} is set (HTTP {status})"
        if status == httpx.codes.FORBIDDEN:
            return f"{at} does not allow this, or does not know {who} (HTTP {status})"
        return f"{at} refuses {who} (HTTP {status})"

    def _credentials(self) -> str | None:
        for secret, what in (
            ("registry_bearer_auth_token", "token"),
            ("registry_basic_auth_user_info", "user"),
            ("pinot_auth_token", "header"),
            ("pinot_password", "user"),
        ):
            if secret.startswith(self._prefix) and self._is_set(secret):
                file = getattr(self._settings, f"{secret}_file")
                name = "pinot_user" if secret == "pinot_password" else f"{secret}{'' if file is None else '_file'}"
                return f"the {what} that {name} names"
        return None if self._parts.username is None else f"the user that {self._url_setting} names"

    def fault(self, error: BaseException) -> str | None:
        """The sentence for an error of TLS, or of its absence; None when the server may just be away.

        It may take GREETING_TIMEOUT_S when the server broke off plain HTTP.
        """
        for cause in _chain(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._unverified(cause)
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                return self._no_tls(cause)
        broken_off = isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        if broken_off and self._parts.scheme == "http" and self._greets_with_tls():
            return self.wants_tls()
        return None

    def _unverified(self, error: ssl.SSLCertVerificationError) -> str:
        the_certificate = f"the certificate of {self.called} at {self.url}"
        match error.verify_code:
            case code if code in UNKNOWN_AUTHORITY:
                name = f"{self._prefix}_ssl_cafile"
                whose = f"an authority of {name}"
                if getattr(self._settings, name) is None:
                    whose = f"an authority that this machine trusts, and {name} is empty"
                return f"{the_certificate} is not from {whose}: {error.verify_message}"
            case _ if error.verify_code == EXPIRED:
                return f"{the_certificate} (setting {self._url_setting}) has expired"
            case _ if error.verify_code == NOT_YET_VALID:
                return f"{the_certificate} (setting {self._url_setting}) is not yet valid"
            case _ if error.verify_code in (WRONG_NAME, WRONG_ADDRESS):
                return f"{the_certificate} is for another name than the one in {self._url_setting}"
        return f"{the_certificate} (setting {self._url_setting}) does not verify: {error.verify_message}"

    def _no_tls(self, error: ssl.SSLError) -> str:
        reason = error.reason or "TLS failed"
        if any(token in reason for token in NOT_TLS):
            return f"setting {self._url_setting} is {self.url}, but {self.called} speaks plain HTTP there, not TLS"
        if "ALERT" in reason and any(token in reason for token in CERTIFICATE_ALERTS):
            return self.wants_certificate(reason)
        return (
            f"setting {self._url_setting} is {self.url}, but {self.called} and we do not agree on TLS: {told(reason)}"
        )

    def wants_certificate(self, reason: str) -> str:
        """The sentence for a server that refuses our certificate, or misses one."""
        name = f"{self._prefix}_ssl_certfile"
        if getattr(self._settings, name) is None:
            return f"{self.called} at {self.url} wants a certificate, but {name} is empty: {told(reason)}"
        return f"{self.called} at {self.url} refuses the certificate of {name}: {told(reason)}"

    def wants_tls(self) -> str:
        """The sentence for plain HTTP that was spoken to a TLS port."""
        return (
            f"setting {self._url_setting} is {self.url}, but {self.called} speaks TLS there: it must begin with https"
        )

    def _greets_with_tls(self) -> bool:
        """Whether a TLS handshake is answered where plain HTTP is not."""
        address = (self._parts.hostname or "", self._parts.port or 80)
        try:
            with (
                socket.create_connection(address, GREETING_TIMEOUT_S) as plain,
                unverified_context().wrap_socket(plain),
            ):
                return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except OSError:
            return False


class _FreshAuth(httpx.Auth):
    """Says who is there; the secret is read for each request, so that its file may be replaced."""

    def __init__(self, header: Callable[[], str]) -> None:
        self._header = header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header()
        yield request


def basic(user: str, password: str) -> str:
    """The Authorization header of a user."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def without_user(url: str) -> str:
    """An address without its user:password."""
    before, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{before}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def _user_info(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    if not (user and password):
        raise SettingError("setting registry_basic_auth_user_info_file: the file must hold a line like user:password")
    return user, password


def _split(name: str, url: str) -> SplitResult:
    """The address in parts; a wrong one is told only where no password can be in it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not parts.query and not parts.fragment
    except ValueError:
        usable = False
    if not usable:
        value = "has a value that it must not have: it" if "@" in url else f"is {url!r}, but"
        raise SettingError(f"setting {name} {value} must be like http://host:port")
    return parts


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
