"""Every error that this project raises on purpose, as one tree.

A message is a sentence which names the setting or thing, its value and what is allowed: the command
line prints it as it is and exits with 1.
"""


class PipelineError(Exception):
    """The root: catch this to catch everything that the project raises on purpose."""


class SettingError(PipelineError):
    """A setting has a value that it must not have."""


class StackError(PipelineError):
    """A part of the local cluster could not be fetched, started, reached or stopped."""


class AccessError(PipelineError):
    """A part does not let this client in, or does not let it do what it wants: a wrong password, certificate or right.

    No outage: it is the same at the next attempt.
    """


class RegistryError(PipelineError):
    """The schema registry refused a schema, or cannot be reached."""


class ProvisionError(PipelineError):
    """A topic, table or database could not be brought to its declared form."""


class QueryError(PipelineError):
    """Pinot did not answer a query: out of reach, too slow, or it refused the query."""


class SourceError(PipelineError):
    """A generator, the poller or the database met something that it cannot go on with."""


class VerifyError(PipelineError):
    """The results could not be compared, for instance since the workers never caught up."""


class NoOracleError(VerifyError):
    """An application has no oracle to be verified by."""


class StallError(PipelineError):
    """A worker has stood still although there was something to do: it ends, to be started again."""


class ApplicationFault(PipelineError):
    """The application cannot process its records, whatever is in them: the worker ends."""


class ChaosError(PipelineError):
    """A chaos run could not do its work, for instance since nothing was in flight when a fault was due."""


class CaseError(PipelineError):
    """A golden case of the correctness runner is not what it has to be."""


class BadRecord(PipelineError):
    """One record cannot be used; its message is the reason that goes to the dead-letter topic."""
