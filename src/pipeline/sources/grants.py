"""Accounts of the shop's database: what each process may do there, as small as its work needs."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import ProvisionError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, parse_url, reason
from pipeline.sources.models import FlashSale, Page, Product, Region

GRANTS: dict[str, dict[str, str]] = {
    "poller": {model.__tablename__: "SELECT" for model in (FlashSale, Product, Page, Region)},
    "generator": {FlashSale.__tablename__: "SELECT, INSERT"},
}
"""{process: {table: privileges}}; `pipeline provision` itself makes tables and fills them: ALL on the database."""


async def grant(settings: Settings, users: Mapping[str, tuple[str, str | None]]) -> None:
    """Make accounts and give them their grants; repeatable.

    `users` is {process: (user, password)}; without a password the account must be there. An account is made for any
    host, and must encrypt where the settings do. Raises ProvisionError when the database refuses.
    """
    database = engine(settings)
    quote = database.dialect.identifier_preparer.quote_identifier
    schema = quote(parse_url(settings).database or "")
    require = "" if settings.mysql_ssl_mode in ("DISABLED", "PREFERRED") else "REQUIRE SSL"  # never taken away
    try:
        async with database.begin() as connection:
            for process, (user, password) in users.items():
                account = {"user": user, "password": password}
                if password is not None:
                    make = f"CREATE USER IF NOT EXISTS :user@'%' IDENTIFIED BY :password {require}"
                    await connection.execute(text(make), account)
                    await connection.execute(text(f"ALTER USER :user@'%' IDENTIFIED BY :password {require}"), account)
                for table, privileges in GRANTS[process].items():
                    give = f"GRANT {privileges} ON {schema}.{quote(table)} TO :user@'%'"
                    await connection.execute(text(give), {"user": user})
    except (SQLAlchemyError, OSError) as error:
        raise ProvisionError(f"database {address(settings)}: grants: {reason(error)}") from error
    finally:
        await database.dispose()
