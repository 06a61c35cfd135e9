"""A drafter behind an OpenAI-compatible server (vLLM, Ollama, llama.cpp): statements out, sentences back, under the same guard.

What is sent is what is stated of each finding: label, certainty, side and the names of slots. No number, no history, no
identifier and no image leaves this process. Redirects and proxies are not followed.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib import request

from medomni.errors import BadSettings, MissingPart
from medomni.model.backends.instructions import answers, instructions, question
from medomni.model.prompt import TOKENS_EACH, groups
from medomni.reporting.statement import Statement
from medomni.settings import Settings
from medomni.types.provenance import Part

if TYPE_CHECKING:
    from medomni.pipeline import Shown

PATIENCE_S = 120.0
"""Seconds after which a server that does not answer is given up."""
LARGEST_ANSWER_BYTES = 1 << 20
NAME = "openai-compatible"


@dataclass(frozen=True)
class OpenAiCompatible:
    """A model of a server."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    name: str = NAME

    @property
    def parts(self) -> tuple[Part, ...]:
        """The model's name; what runs behind a server cannot be digested."""
        return (Part(role="drafter", name=f"{NAME} {self.model}", version="not known"),)

    def word(self, statements: Sequence[Statement], language: str, _shown: "Shown | None" = None) -> list[str]:
        """See ``medomni.pipeline.Drafter``."""
        if language != "en":
            return []
        texts: list[str] = []
        for part in groups(statements):
            texts += answers(self._ask(question(part), TOKENS_EACH * len(part)), len(part))
        return texts

    def _ask(self, text: str, longest: int) -> str:
        body = {
            "model": self.model,
            "messages": [{"role": "system", "content": instructions()}, {"role": "user", "content": text}],
            "temperature": 0,
            "seed": 0,
            "max_tokens": longest,
            "stream": False,
        }
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        asked = request.Request(  # noqa: S310  (the settings allow http and https only)
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        try:
            with _OPENER.open(asked, timeout=PATIENCE_S) as answer:
                return _content(json.loads(_read(answer)))
        except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as found:
            raise MissingPart(
                "the drafting server gives no usable answer",
                found=type(found).__name__,
                remedy="check MEDOMNI_DRAFTER_URL and MEDOMNI_DRAFTER_MODEL",
                where=NAME,
            ) from found


class _NoRedirect(request.HTTPRedirectHandler):
    """A server that sends elsewhere is not followed: the key and the findings are for it alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Follow nothing."""


_OPENER = request.build_opener(request.ProxyHandler({}), _NoRedirect())
"""No proxy stands between: the server is asked directly or not at all."""


def _read(answer: Any) -> bytes:  # noqa: ANN401  (an HTTP answer)
    """The whole answer, within ``PATIENCE_S`` and ``LARGEST_ANSWER_BYTES``."""
    until, parts, size = time.monotonic() + PATIENCE_S, list[bytes](), 0
    while part := answer.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER_BYTES or time.monotonic() > until:
            raise ValueError("the answer has no end")
    return b"".join(parts)


def _content(answer: Any) -> str:  # noqa: ANN401  (JSON from outside)
    content = answer["choices"][0]["message"]["content"]
    if not isinstance(content, str):
        raise TypeError("the answer is no text")
    return content


def drafter(settings: Settings, adapter: Path | None) -> OpenAiCompatible:
    """The drafter that the settings describe.

    Raises:
        BadSettings: address or model are not set, or an adapter is given, which the server would have to load.
    """
    if not settings.drafter_url or not settings.drafter_model:
        raise BadSettings(
            "this drafter needs a server and the name of its model",
            remedy="set MEDOMNI_DRAFTER_URL and MEDOMNI_DRAFTER_MODEL",
            where=NAME,
        )
    if adapter is not None:
        raise BadSettings("a server loads its own adapters", remedy="leave --adapter out", where=NAME)
    return OpenAiCompatible(settings.drafter_url, settings.drafter_model, settings.drafter_key.get_secret_value())
