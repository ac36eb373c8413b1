"""How a process is known to each part of a secured stack."""

from typing import Any

from pipeline.settings import Settings
from pipeline.stack.credentials import ADMIN, Secrets
from pipeline.stack.parts.pinot import PINOT_USERS
from pipeline.stack.tokens import Tokens

DASHBOARD = "dashboard"
READS_PINOT = {"dashboard": "pipeline-dashboard", "verify": "pipeline-dashboard"}


def identity(secrets: Secrets, process: str, user: str, owner: Settings) -> dict[str, Any]:
    """The settings of a process's user in the place of the owner's; no password that the process does not need."""
    password_file = secrets.password_file(user)
    of_pinot = READS_PINOT.get(process)
    page = secrets.identity(DASHBOARD)
    of_page = {
        "dashboard_ssl_certfile": page.certificate,
        "dashboard_ssl_keyfile": page.key,
        "dashboard_auth_file": secrets.login_file,
    }
    return {
        **(of_page if process == DASHBOARD else {}),
        "kafka_sasl_username": user,
        "kafka_sasl_password_file": password_file,
        "registry_bearer_auth_token_file": Tokens(secrets.folder).file(user),
        "mysql_url": owner.mysql_url.replace(f"{ADMIN}@", f"{user}@", 1),
        "mysql_password_file": password_file,
        "pinot_user": of_pinot or "",
        "pinot_password_file": secrets.password_file(PINOT_USERS[of_pinot].secret) if of_pinot else None,
    }
