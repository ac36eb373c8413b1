"""`verify` as other commands call it: of an application that cannot be verified they tell why, and go on."""

from pipeline.errors import NoOracleError
from pipeline.settings import Settings
from pipeline.verify.report import Report
from pipeline.verify.run import verify


async def verified(settings: Settings, timeout_s: float) -> Report | str:
    """What `verify` finds, or the sentence for want of an oracle; raises VerifyError as it does."""
    try:
        return await verify(settings, timeout_s)
    except NoOracleError as error:
        return str(error)
