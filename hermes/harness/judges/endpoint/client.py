"""One question of a judge to a chat endpoint: greedy, short, and never with an empty reply."""

from threading import Event
from typing import Any

from hermes.harness.judges.replies import asked, plain_reply
from hermes.harness.system.endpoint.client import EndpointClient, short
from hermes.harness.system.errors import AskError

MAX_TOKENS = 16


class ChatClient(EndpointClient):
    """Safe to use from many threads."""

    def ask_about(self, image_url: str, question: str, stopped: Event) -> str:
        """The reply to a question about one image; see `complete`."""
        image = {"type": "image_url", "image_url": {"url": image_url}}
        return self.complete([image, {"type": "text", "text": asked(question)}], MAX_TOKENS, stopped)

    def complete(self, content: Any, max_tokens: int, stopped: Event) -> str:
        """The reply to one user message, never an empty one; raises what `EndpointClient.ask` raises.

        ``content`` is text, or the parts of a message as the API has them.
        """
        return self.ask(
            lambda openai: openai.chat.completions.create(
                model=self.settings.model,
                messages=[{"role": "user", "content": content}],
                temperature=0.0,
                max_tokens=max_tokens,
            ),
            _content,
            stopped,
        )


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
