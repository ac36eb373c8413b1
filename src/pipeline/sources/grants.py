"""Accounts of the shop's database: what each process may do there, as small as its work needs."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pipeline.applications.loading import Runnable
from pipeline.errors import ProvisionError
from pipeline.settings import Settings
from pipeline.sources.database import address, engine, parse_url, reason
from pipeline.sources.models import FlashSale

READS, ADDS, CHANGES = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"


def grants(found: Runnable) -> dict[str, dict[str, str]]:
    """{process: {table: privileges}}; `pipeline provision` itself makes tables and fills them: ALL on the database."""
    application = found.application
    read = {table.name: READS for table in application.database}
    if found.hooks.generators:
        written = {FlashSale.__tablename__: ADDS}
    else:
        tables = (application.carried_into(made.topic) for made in application.data)
        written = {table.name: CHANGES for table in tables if table is not None}
    return {process: tables for process, tables in (("poller", read), ("generator", written)) if tables}


async def grant(
    settings: Settings, given: Mapping[str, Mapping[str, str]], users: Mapping[str, tuple[str, str | None]]
) -> None:
    """Make accounts and give them their grants, as `grants` says; repeatable.

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
                for table, privileges in given[process].items():
                    give = f"GRANT {privileges} ON {schema}.{quote(table)} TO :user@'%'"
                    await connection.execute(text(give), {"user": user})
    except (SQLAlchemyError, OSError) as error:
        raise ProvisionError(f"database {address(settings)}: grants: {reason(error)}") from error
    finally:
        await database.dispose()
