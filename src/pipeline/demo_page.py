"""The page of a demo: where it is, how to enter, and whether it shows data."""

import socket
import ssl

import httpx

from pipeline.errors import SettingError
from pipeline.settings import Settings


def dashboard_url(settings: Settings) -> str:
    """Where a browser finds the page."""
    scheme = "http" if settings.dashboard_ssl_certfile is None else "https"
    path = settings.dashboard_base_path.rstrip("/")
    return f"{scheme}://{settings.dashboard_host}:{settings.dashboard_port}{path}"


def index_url(page: Settings, of_all: Settings) -> str:
    """Where a browser finds the index of several pages, one of which is `page`; `of_all` has its base path."""
    return dashboard_url(page.replaced(dashboard_base_path=of_all.dashboard_base_path)) + "/"


def how_to_enter(settings: Settings) -> str:
    """What a viewer of a secured page needs to know; empty for one that is open."""
    if settings.dashboard_auth_file is None:
        return ""
    return (
        f"the page asks for the name and password in {settings.dashboard_auth_file}, "
        f"its certificate is from the authority {settings.kafka_ssl_cafile}"
    )


def answers(settings: Settings) -> bool:
    """Whether the dashboard is there and has data."""
    secured = settings.dashboard_ssl_certfile is not None
    verify = ssl.create_default_context(cafile=settings.kafka_ssl_cafile) if secured else True
    try:
        url = f"{dashboard_url(settings)}/healthz"
        return httpx.get(url, timeout=2, trust_env=False, verify=verify).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def require_free(host: str, port: int) -> None:
    """Raise SettingError when nobody could listen on the page's port."""
    if port == 0:
        raise SettingError("setting dashboard_port is 0, but `pipeline demo` needs a fixed port to show you the page")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingError(
                f"setting dashboard_port is {port}, but that port is in use on {host}: {error.strerror}; "
                f"set PIPELINE_DASHBOARD_PORT to a free one"
            ) from None
