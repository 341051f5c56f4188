"""One question of a judge to a chat endpoint: greedy, and never with an empty reply."""

import json
from threading import Event
from typing import Any

from hermes.harness.judges.replies import asked, plain_reply
from hermes.harness.system.endpoint.client import EndpointClient, short
from hermes.harness.system.errors import AskError, HermesError

MAX_TOKENS = 16
LISTED = 20
"""As many of the most probable tokens as endpoints list at most."""


class ChatClient(EndpointClient):
    """Safe to use from many threads."""

    def ask_about(self, image_url: str, question: str, stopped: Event) -> str:
        """The reply to a question about one image; see `complete`."""
        return self.complete([_image(image_url), _text(asked(question))], MAX_TOKENS, stopped)

    def complete(self, content: Any, max_tokens: int, stopped: Event, system: str = "") -> str:
        """The reply to one user message, never an empty one; raises what `EndpointClient.ask` raises.

        ``content`` is text, or the parts of a message as the API has them.
        """
        before = [{"role": "system", "content": system}] if system else []
        return self.ask(
            lambda openai: openai.chat.completions.create(
                model=self.settings.model,
                messages=[*before, {"role": "user", "content": content}],
                temperature=0.0,
                max_tokens=max_tokens,
            ),
            _content,
            stopped,
        )

    def write_about(self, image_url: str, text: str, system: str, max_tokens: int, stopped: Event) -> str:
        """The reply to a text with an image after it, as they stand; see `complete`."""
        return self.complete([_text(text), _image(image_url)], max_tokens, stopped, system)

    def first_tokens(self, image_url: str, question: str, stopped: Event) -> str:
        """The most probable first tokens of the reply to a question as it stands, as JSON: ``[[token, logprob]]``.

        Raises what `EndpointClient.ask` raises, and HermesError where the endpoint lists no tokens.
        """
        return self.ask(
            lambda openai: openai.chat.completions.create(
                model=self.settings.model,
                messages=[{"role": "user", "content": [_image(image_url), _text(question)]}],
                temperature=0.0,
                max_tokens=1,
                logprobs=True,
                top_logprobs=LISTED,
            ),
            self._listed,
            stopped,
        )

    def _listed(self, completion: Any) -> str:
        try:
            listed = completion.choices[0].logprobs.content[0].top_logprobs
            found = [[str(one.token), float(one.logprob)] for one in listed]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            found = []
        if not found:
            settings = self.settings
            raise HermesError(
                f"openai:{settings.model} at {settings.host} lists no probabilities of tokens (logprobs); use a server "
                "that does, such as vLLM, or a judge hf:ID"
            )
        return json.dumps(found)


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _content(completion: Any) -> str:
    """The text of the first choice. Raises AskError where there is none."""
    try:
        choice = completion.choices[0]
        message = choice.message
        content = message.content
    except (AttributeError, IndexError, KeyError, TypeError):
        raise AskError(f"HTTP 200 without an answer ({short(completion)})") from None
    if not isinstance(content, str) or not plain_reply(content):
        empty = "HTTP 200 with an empty answer"
        if getattr(choice, "finish_reason", None) == "length":
            why = "its reasoning takes all tokens that a reply has; give a model that answers at once"
            raise AskError(f"{empty}: {why}", refused=True, again=False)
        refusal = getattr(message, "refusal", None)
        raise AskError(empty + (f" ({short(refusal)})" if refusal else ""), refused=True)
    return content
