"""The whole verification: wait for the workers, read the topics, run the oracle, compare with topics and Pinot."""

import asyncio
import time
from collections.abc import Iterable

from aiokafka import TopicPartition

from pipeline import reading
from pipeline.registry import Registry
from pipeline.serving.pinot import client
from pipeline.settings import Settings
from pipeline.topics import DEAD_LETTERS, LATE_RECORDS, Topic
from pipeline.verify.judgement import Judgement
from pipeline.verify.records import Cut, Origin
from pipeline.verify.report import OutputReport, Report
from pipeline.verify.subject import Subject
from pipeline.verify.waiting import (
    NO_PARTITION,
    POLL_S,
    UNKNOWN_ID,
    Letters,
    begins_of,
    caught_up,
    dead_letters,
    ends_of,
)


async def verify_subject(settings: Settings, subject: Subject, timeout_s: float) -> Report:
    """Verify an application by its oracle.

    Raises VerifyError when the workers do not catch up within `timeout_s` seconds, or the oracle cannot be run.
    """
    with Judgement(settings, subject, registry := Registry(settings)) as judgement:
        return await _Verification(settings, judgement, registry, time.monotonic() + timeout_s).report()


async def differences(settings: Settings, subject: Subject) -> list[str]:
    """What is wrong in the topics of an application as they are now; workers are not waited for, nor is Pinot asked.

    A sentence for each row of an output, without dead letters; raises VerifyError when the oracle cannot be run.
    """
    with Judgement(settings, subject, registry := Registry(settings)) as judgement:
        return await _Verification(settings, judgement, registry, time.monotonic()).differences()


class _Verification:
    def __init__(self, settings: Settings, judgement: Judgement, registry: Registry, deadline: float) -> None:
        self._settings = settings
        self._registry = registry
        self._judgement = judgement
        self._subject = judgement.subject
        self._deadline = deadline
        self._low: dict[str, Cut] = {}
        self._high: dict[str, Cut] = {}
        self._read: dict[str, Cut] = {}
        self._begins: dict[str, Cut] = {}
        self._letters: Letters = {}

    async def report(self) -> Report:
        """Everything in turn."""
        for stage in self._subject.stages:
            ends = await ends_of(self._settings, stage)
            self._low |= ends
            await caught_up(self._settings, ends, self._deadline)
        outputs, not_compared = await self._compare_topics()
        await self._compare_pinot(outputs)
        sources = [source for source in self._subject.sources if not source.is_own and not source.is_followed]
        return Report(
            outputs,
            consumed=sum(self._judgement.readers[source.topic.name].consumed for source in sources),
            late=await self._late(),
            dead_letters=len(self._letters_of()),
            letters_wrong=await self._letters_wrong(),
            noted=self._judgement.oracle.noted("high"),
            not_compared=not_compared,
        )

    async def differences(self) -> list[str]:
        """What is wrong in the topics now."""
        self._low = await ends_of(self._settings, [source.topic for source in self._subject.sources])
        outputs, _ = await self._compare_topics()
        return [f"{name} {text}" for name, output in outputs.items() for text in output.wrong]

    async def _compare_topics(self) -> tuple[dict[str, OutputReport], dict[str, int]]:
        """The outputs' topics against what the oracle expects, and how many rows of each could not be compared."""
        found = await ends_of(self._settings, [output.topic for output in self._subject.outputs])
        await self._read_up_to(found)
        self._letters = await dead_letters(self._settings, self._registry)
        self._begins = await begins_of(self._settings, [reader.topic for reader in self._judgement.readers.values()])
        await self._expect()
        outputs: dict[str, OutputReport] = {}
        not_compared: dict[str, int] = {}
        for output in self._subject.outputs:
            name = output.topic.name
            outcome = self._judgement.compared(output, found[name])
            wrong = [f"topic: {text}" for text in outcome.wrong]
            outputs[name] = OutputReport(outcome.expected, outcome.found, None, wrong, outcome.repeated)
            if outcome.left_out:
                not_compared[name] = outcome.left_out
        return outputs, not_compared

    async def _expect(self) -> None:
        """Read the sources as they are now, what the application writes before what it reads, and run the oracle."""
        own = [source.topic for source in self._subject.sources if source.is_own]
        others = [source.topic for source in self._subject.sources if not source.is_own]
        high = await ends_of(self._settings, own) if own else {}
        high |= await ends_of(self._settings, others)
        await self._read_up_to(high)
        for name in high:
            self._judgement.refuse(name, self._refused(name))
        followed = {s.topic.name: high[s.topic.name] for s in self._subject.sources if s.is_followed}
        low = {name: self._low[name] for name in high.keys() - followed.keys()} | followed
        self._high = high
        await asyncio.to_thread(self._judgement.expect, low, high, self._begins)

    async def _read_up_to(self, ends: dict[str, Cut]) -> None:
        """Read what is not read yet of topics below these offsets; all of it is there for SQL then."""
        for name, cut in ends.items():
            known = self._read.get(name, {})
            bounds = {TopicPartition(name, p): (known.get(p, 0), end) for p, end in cut.items()}
            if name not in self._read:
                await self._judgement.read(name, [])
            async for records in reading.read_between(self._settings, bounds):
                await self._judgement.read(name, records)
            self._read[name] = {p: max(end, known.get(p, 0)) for p, end in cut.items()}

    def _refused(self, topic: str) -> set[Origin]:
        """Records that can be read now and yet have a letter with good reason.

        The registry may have learned a schema since; what becomes of a large record may be too large for a message.
        """
        large = self._judgement.readers[topic].large
        return {
            (partition, offset)
            for (name, partition, offset), reason in self._letters.items()
            if name == topic and (reason.startswith(UNKNOWN_ID) or (partition, offset) in large)
        }

    async def _compare_pinot(self, outputs: dict[str, OutputReport]) -> None:
        """Pinot follows the topics a moment later: what differs is looked at again until the deadline."""
        waiting = [output for output in self._subject.outputs if output.in_pinot]
        pinot = client(self._settings) if waiting else None
        while waiting and pinot is not None:
            tables = {o.topic.name: await asyncio.to_thread(pinot.rows, o.topic.name) for o in waiting}
            if await self._has_moved():
                await self._expect()
            wrong: dict[str, list[str]] = {}
            for output in waiting:
                name = output.topic.name
                outcome = self._judgement.compared_rows(output, tables[name])
                outputs[name].pinot, wrong[name] = outcome.found, outcome.wrong
            waiting = [output for output in waiting if wrong[output.topic.name]]
            if waiting and time.monotonic() > self._deadline:
                for output in waiting:
                    outputs[output.topic.name].wrong += [f"Pinot: {text}" for text in wrong[output.topic.name]]
                return
            await asyncio.sleep(POLL_S if waiting else 0)

    async def _has_moved(self) -> bool:
        return await ends_of(self._settings, [source.topic for source in self._subject.sources]) != self._high

    def _judged(self) -> list[Topic]:
        """The topics whose records must have a dead letter where they are bad, and only there."""
        return [source.topic for source in self._subject.sources if not source.is_followed]

    def _letters_of(self) -> set[tuple[str, int, int]]:
        names = {topic.name for topic in self._judged()}
        return {letter for letter in self._letters if letter[0] in names and letter[1] != NO_PARTITION}

    async def _letters_wrong(self) -> list[str]:
        """A sentence for each dead letter that is missing, or without cause."""
        letters = self._letters_of()
        bad = {(t.name, *origin) for t in self._judged() for origin in self._judgement.bad(t.name)}
        bad |= self._judgement.oracle.letters("high")
        kept = await begins_of(self._settings, [*self._judged(), DEAD_LETTERS])
        missing = {(name, p, o) for name, p, o in bad - letters if o < self._low[name].get(p, 0)}
        if any(kept[DEAD_LETTERS.name].values()):
            missing = set()
        without_cause = {(name, p, o) for name, p, o in letters - bad if o >= kept[name].get(p, 0)}
        return [f"{_place(letter)} is bad, but has no dead letter" for letter in sorted(missing)] + [
            f"{_place(letter)} has a dead letter, but is good: {self._letters[letter]}"
            for letter in sorted(without_cause)
        ]

    async def _late(self) -> int:
        """How often a row came too late for a window, as the application itself says."""
        names = tuple(f"{topic.name}/" for topic in (*self._judged(), *(t for s in self._subject.stages for t in s)))
        found: set[str] = set()
        async for records in reading.read_batches(self._settings, LATE_RECORDS.name):
            keys: Iterable[str] = ((record.key or b"").decode("utf-8", "replace") for record in records)
            found |= {key for key in keys if key.startswith(names)}
        return len(found)


def _place(letter: tuple[str, int, int]) -> str:
    topic, partition, offset = letter
    return f"{topic} partition {partition} offset {offset}"
