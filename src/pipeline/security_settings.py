"""The settings of secured connections: encryption, identities and passwords, under each system's own terms.

A password is given as it is or as a file that holds it: beside each `<name>` of a secret stands `<name>_file`. A file
is read when a connection is set up, so that it may be replaced without new settings. See docs/security.md.
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from pipeline.errors import SettingError
from pipeline.shown import SECRET_OF_QUERY

NO_SECRET = SecretStr("")
NO_SECRET_USER = "pipeline:pipeline"
"""User and password of the local stack's plain MariaDB, where nobody is kept out: the one password that may be told."""
TOKEN_COMMAND = "kafka_sasl_oauthbearer_token_command"
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
SslMode = Literal["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]


class SecuritySettings(BaseSettings):
    """What each connection asks for. Files are PEM; empty: the system's authorities, no certificate of one's own."""

    # Kafka
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="How brokers are spoken to: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        "SCRAM-SHA-512", description="With SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
    )
    kafka_sasl_username: str = Field("", description="User of PLAIN and SCRAM.")
    kafka_sasl_password: SecretStr = Field(NO_SECRET, description="Password of PLAIN and SCRAM.")
    kafka_sasl_password_file: Path | None = Field(None, description="File with that password.")
    kafka_sasl_oauthbearer_token_command: str = Field(
        "", description="OAUTHBEARER: a command that prints a token; it is split as by a shell, but none runs."
    )
    kafka_sasl_oauthbearer_token_endpoint_url: str = Field(
        "", pattern=r"^(https?://.+)?$", description="OAUTHBEARER: where tokens come from (client credentials grant)."
    )
    kafka_sasl_oauthbearer_client_id: str = Field("", description="OAUTHBEARER: client id at that address.")
    kafka_sasl_oauthbearer_client_secret: SecretStr = Field(NO_SECRET, description="OAUTHBEARER: its secret.")
    kafka_sasl_oauthbearer_client_secret_file: Path | None = Field(None, description="File with that secret.")
    kafka_sasl_oauthbearer_scope: str = Field("", description="OAUTHBEARER: the scope that is asked for.")
    kafka_ssl_cafile: Path | None = Field(None, description="Authorities that may vouch for brokers.")
    kafka_ssl_certfile: Path | None = Field(None, description="Certificate that is shown to brokers (mutual TLS).")
    kafka_ssl_keyfile: Path | None = Field(None, description="Key of that certificate; none: it is in the same file.")
    kafka_ssl_key_password: SecretStr = Field(NO_SECRET, description="Password of the key.")
    kafka_ssl_key_password_file: Path | None = Field(None, description="File with that password.")
    kafka_ssl_check_hostname: bool = Field(True, description="Whether a broker's name must be in its certificate.")

    # schema registry
    registry_basic_auth_user_info: SecretStr = Field(NO_SECRET, description="user:password of the registry.")
    registry_basic_auth_user_info_file: Path | None = Field(None, description="File with user:password.")
    registry_bearer_auth_token: SecretStr = Field(NO_SECRET, description="Bearer token of the registry.")
    registry_bearer_auth_token_file: Path | None = Field(None, description="File with that token.")
    registry_ssl_cafile: Path | None = Field(None, description="Authorities that may vouch for the registry.")
    registry_ssl_certfile: Path | None = Field(None, description="Certificate that is shown to the registry.")
    registry_ssl_keyfile: Path | None = Field(None, description="Key of that certificate.")

    # MySQL
    mysql_password: SecretStr = Field(NO_SECRET, description="Password in place of the one in mysql_url.")
    mysql_password_file: Path | None = Field(None, description="File with that password.")
    mysql_ssl_mode: SslMode = Field(
        "PREFERRED",
        description="DISABLED; PREFERRED: TLS where the server has it; REQUIRED: no plain text; VERIFY_CA: no unknown "
        "certificate either; VERIFY_IDENTITY: nor one for another name.",
    )
    mysql_ssl_ca: Path | None = Field(None, description="Authorities that may vouch for the database.")
    mysql_ssl_cert: Path | None = Field(None, description="Certificate that is shown to the database.")
    mysql_ssl_key: Path | None = Field(None, description="Key of that certificate.")

    # Pinot
    pinot_user: str = Field("", description="User of Pinot's controller and broker.")
    pinot_password: SecretStr = Field(NO_SECRET, description="Password of that user.")
    pinot_password_file: Path | None = Field(None, description="File with that password.")
    pinot_auth_token: SecretStr = Field(NO_SECRET, description="Authorization header in place of user and password.")
    pinot_auth_token_file: Path | None = Field(None, description="File with that header.")
    pinot_ssl_cafile: Path | None = Field(None, description="Authorities that may vouch for Pinot.")
    pinot_ssl_certfile: Path | None = Field(None, description="Certificate that is shown to Pinot.")
    pinot_ssl_keyfile: Path | None = Field(None, description="Key of that certificate.")
    pinot_stream_configs: Path | None = Field(
        None,
        description="JSON file of further streamConfigs of every table: how Pinot gets at a secured Kafka.",
    )

    @field_validator("registry_basic_auth_user_info")
    @classmethod
    def _user_info(cls, value: SecretStr) -> SecretStr:
        return user_and_password(value)

    @model_validator(mode="after")
    def _one_place_for_a_secret(self) -> "SecuritySettings":
        for name in self.secret_names():
            if getattr(self, name).get_secret_value() and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"{name} and {name}_file are both set: give one of them")
        return self

    @classmethod
    def secret_names(cls) -> list[str]:
        """The settings that are secrets; each has a companion `<name>_file`."""
        return [name for name, field in cls.model_fields.items() if field.annotation is SecretStr]

    def secret(self, name: str) -> str:
        """A secret, from its file where one is set, without the line break at its end; '' where there is none.

        Raises SettingError when the file cannot be read or is empty.
        """
        value: SecretStr = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        if file is None:
            return value.get_secret_value()
        try:
            text = file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SettingError(f"setting {name}_file is {str(file)!r}, but that cannot be read: {why}") from None
        if not text:
            raise SettingError(f"setting {name}_file is {str(file)!r}, but that file is empty")
        return text


def user_and_password(value: SecretStr) -> SecretStr:
    """The value, which is empty or user:password; raises ValueError."""
    user, colon, password = value.get_secret_value().partition(":")
    if (user or colon) and not (user and password):
        raise ValueError("it must be like user:password")
    return value


def has_password(text: str) -> bool:
    """Whether an address tells a secret: a password of its user, or one in its query. NO_SECRET_USER's is none."""
    plain = re.sub(rf"(?<=://){NO_SECRET_USER}@(?=127\.0\.0\.1[:/])", "", text)
    return re.search(r"://[^@]*:[^@]*@", plain) is not None or SECRET_OF_QUERY.search(plain) is not None
