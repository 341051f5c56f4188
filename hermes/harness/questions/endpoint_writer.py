"""Questions by a model behind an OpenAI-compatible endpoint, which is asked for JSON that is then read strictly."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from hermes.harness.data.homologous.records import Item, Question, Written
from hermes.harness.judges.endpoint.client import ChatClient
from hermes.harness.questions.tifa_writer import TYPES, tifa_type
from hermes.harness.system.errors import AskError, HermesError
from hermes.harness.system.parsing import json_value

PROMPT_VERSION = "1"
MAX_TOKENS = 2048
FAILURES_IN_A_ROW = 8
UNREADABLE = "the reply is not the JSON that was asked for"
INSTRUCTION = f"""You check whether a picture shows what a caption says. Write short multiple-choice questions about
the picture that whoever sees it can answer, and whose answers follow from the caption alone. Ask about every object,
number, color, material, action, place and position that the caption names: for each at least one question that is
answered with yes or no, and one with four choices where the caption allows it. Never ask about what it leaves open.

Reply with one JSON object and nothing else:
{{"questions": [{{"question": "...", "choices": ["...", "..."], "answer": "...", "element": "...", "type": "..."}}]}}
The answer is one of the choices, in the same letters. The element is the word of the caption that is asked about. The
type is one of: {", ".join(TYPES)}.

Caption: """
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


class EndpointWriter:
    """Questions of one chat model, several captions at a time. A caption whose request fails is asked again next time.

    ``write`` raises HermesError where no request can succeed, and after eight failures in a row.
    """

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        settings = client.settings
        self.identity = f"openai:{settings.model}@{settings.host}-{PROMPT_VERSION}"
        self._failures = 0

    def write(self, items: Sequence[Item]) -> list[Written]:
        stopped = Event()
        with ThreadPoolExecutor(self.client.settings.concurrency) as pool:
            jobs = [pool.submit(self._one, item.caption or "", stopped) for item in items]
            try:
                written = [job.result() for job in jobs]
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for one in written:
            self._failures = self._failures + 1 if one.error else 0
            if self._failures >= FAILURES_IN_A_ROW:
                raise HermesError(f"{one.error}; {FAILURES_IN_A_ROW} captions in a row failed, fix the endpoint")
        return written

    def _one(self, caption: str, stopped: Event) -> Written:
        try:
            return read(self.client.complete(INSTRUCTION + caption, MAX_TOKENS, stopped))
        except AskError as error:
            return Written(error=str(error))


def read(reply: str) -> Written:
    """The questions of a reply: one JSON object, bare or in a code fence, with a list of questions.

    A question without text, without two or more choices that all differ, with an answer not among these, or of an
    unknown type is counted as malformed.
    """
    fenced = _FENCE.fullmatch(reply.strip())
    try:
        content = json_value(fenced[1] if fenced else reply)
    except ValueError:
        return Written(reason=UNREADABLE)
    entries = content.get("questions") if isinstance(content, Mapping) else None
    if not isinstance(entries, list):
        return Written(reason=UNREADABLE)
    questions = [_question(entry) for entry in entries]
    kept = tuple(question for question in questions if question is not None)
    return Written(kept, "" if kept else UNREADABLE, len(questions) - len(kept))


def _question(entry: Any) -> Question | None:
    fields = entry if isinstance(entry, Mapping) else {}
    question, answer, kind, choices = (fields.get(name) for name in ("question", "answer", "type", "choices"))
    known = tifa_type(kind) if isinstance(kind, str) else None
    if not isinstance(choices, list):
        return None
    if not all(isinstance(text, str) and text.strip() for text in (question, *choices)):
        return None
    if known is None or answer not in choices or len(set(choices)) < max(2, len(choices)):
        return None
    element = str(fields.get("element") or "")
    return Question(question=str(question), answer=answer, kind=known, choices=tuple(choices), element=element)
