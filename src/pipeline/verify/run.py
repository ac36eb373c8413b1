"""The verification as commands call it: DuckDB and pyarrow are imported when there is something to verify."""

from pipeline.access import rights
from pipeline.applications.loading import load, source_file
from pipeline.kafka_rights import require_rights
from pipeline.settings import FLASH_SALES, Settings
from pipeline.verify.declared import declared, oracle_of
from pipeline.verify.flash_sales import flash_sales
from pipeline.verify.report import Report
from pipeline.verify.subject import Subject


async def verify(settings: Settings, timeout_s: float) -> Report:
    """Verify every output of the application that is set, by its oracle, in its topic and in Pinot.

    Raises VerifyError when the workers do not catch up within `timeout_s` seconds, or the oracle cannot be run.
    """
    from pipeline.verify.verification import verify_subject

    await require_rights(settings, rights(settings)["verify"])
    return await verify_subject(settings, subject(settings), timeout_s)


def subject(settings: Settings) -> Subject:
    """The application that is set; raises SettingError when there is none."""
    if settings.app == FLASH_SALES:
        return flash_sales(settings.session_gap_ms)
    path = source_file(settings.app, settings.app_dir)
    return declared(load(settings.app, settings.app_dir, settings), oracle_of(path))
