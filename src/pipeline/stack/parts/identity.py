"""How a process is known to each part of a secured stack."""

from pipeline.settings import Settings
from pipeline.stack.credentials import ADMIN, Secrets


def identity(secrets: Secrets, user: str, owner: Settings) -> dict[str, str]:
    """The settings of a user in the place of the owner's."""
    password_file = str(secrets.password_file(user))
    return {
        "kafka_sasl_username": user,
        "kafka_sasl_password_file": password_file,
        "mysql_url": owner.mysql_url.replace(f"{ADMIN}@", f"{user}@", 1),
        "mysql_password_file": password_file,
    }
