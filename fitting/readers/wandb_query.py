"""Questions to a W&B server, with the user's login and with patience that ends.

The login is the wandb client's, the requests are ours. The client leaves its requests to a helper process whose
retries have no total, whose errors lose Retry-After, and which waits for histories without a time limit.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from ..errors import InputError
from ..json_shapes import is_list, is_object

T = TypeVar("T")
_NO_ANSWER = ": Failed to execute API request"  # what follows blames the service of this machine
_LOGIN = "run `wandb login`, or set WANDB_API_KEY"


@dataclass(frozen=True)
class Patience:
    """How long a server is asked. Every failed request takes one of `failures`, every answer gives one back: a server
    that only fails is asked no more than that often, whatever the number of runs."""

    timeout_s: float = 30.0
    tries: int = 5  # of one question
    first_wait_s: float = 1.0  # doubled from try to try, less up to half of it by chance
    longest_wait_s: float = 120.0  # also where Retry-After says more
    failures: int = 100


PATIENCE = Patience()


class Unread(Exception):
    """What was asked for cannot be had; the text says why."""


class _Again(Exception):
    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Server:
    """A W&B server one is logged in to. Its methods may be called from several threads."""

    def __init__(self, url: str, key: str, patience: Patience) -> None:
        import requests

        self.url = url
        self.stop = threading.Event()  # set: no more waiting, no more requests
        self._patience = patience
        self._session = requests.Session()
        self._session.auth = ("api", key)
        self._lock = threading.Lock()
        self._failures = 0
        self._not_before = 0.0  # of the clock: what Retry-After says holds for every thread

    def ask(self, document: str, variables: Mapping[str, Any], take: Callable[[Any], T], tries: int | None = None) -> T:
        """What `take` makes of the data of the answer; an answer it cannot take counts as none.

        Raises Unread after `tries` (else as `Patience` says), InputError where the login is refused.
        """
        reason, tries = "", tries or self._patience.tries
        for attempt in range(tries):
            if self.stop.wait(max(0.0, self._not_before - time.monotonic())):
                raise Unread("interrupted")
            if self._failures >= self._patience.failures:
                raise Unread(f"given up after {self._failures} failed requests")
            try:
                data = _taken(self._post(document, variables), take)
            except _Again as again:
                reason = str(again)
                self._count(1)
                if attempt + 1 < tries:
                    self._wait(attempt, again.retry_after_s)
            else:
                self._count(-1)
                return data
        raise Unread(f"{reason} ({tries} tries)")

    def _count(self, failures: int) -> None:
        with self._lock:
            self._failures = max(0, self._failures + failures)

    def _wait(self, attempt: int, retry_after_s: float) -> None:
        longest = self._patience.longest_wait_s
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + min(retry_after_s, longest))
        self.stop.wait(min(self._patience.first_wait_s * 2**attempt * random.uniform(0.5, 1.0), longest))

    def _post(self, document: str, variables: Mapping[str, Any]) -> Any:
        import requests

        question = {"query": document, "variables": dict(variables)}
        try:
            answer = self._session.post(f"{self.url}/graphql", json=question, timeout=self._patience.timeout_s)
        except requests.Timeout as error:
            raise _Again(f"no answer within {self._patience.timeout_s:g} s") from error
        except requests.RequestException as error:
            raise _Again(f"no connection ({type(error).__name__})") from error
        if answer.status_code == 401:
            raise InputError(f"{self.url}: the login is refused (HTTP 401): {_LOGIN}")
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            raise _Again(f"HTTP {answer.status_code}", _retry_after_s(answer.headers.get("Retry-After", "")))
        if answer.status_code != 200:
            raise Unread(f"HTTP {answer.status_code}")
        try:
            body = answer.json()
        except (ValueError, RecursionError) as error:
            raise _Again("an answer that is no JSON") from error
        if not is_object(body):
            raise _Again("an answer that is no object")
        if errors := body.get("errors"):
            first: Any = errors[0] if is_list(errors) else errors
            raise Unread(_one_line(str(first.get("message", first) if is_object(first) else first)))
        return body.get("data")


def sign_in(source: str, patience: Patience) -> Server:
    """The server that the installed wandb client is set to, with the user's key; nobody is asked for one.

    Raises InputError, which never holds the key, where wandb is not installed, no key is known or it is refused.
    """
    try:
        import requests  # noqa: F401  # pyright: ignore[reportUnusedImport]: whether it is there
        import wandb
        from wandb.errors import UsageError
    except ImportError as error:
        raise InputError(f"{source}: needs {error.name}: pip install 'isoflop[logs]'") from error
    try:
        with _unasked():
            api = wandb.Api(timeout=max(1, round(patience.timeout_s)))
    except UsageError as error:
        raise InputError(f"{source}: not logged in to W&B: {_LOGIN}") from error
    except (wandb.Error, ValueError) as error:
        why = _one_line(str(error).partition(_NO_ANSWER)[0])
        raise InputError(f"{source}: no login at W&B ({why}): {_LOGIN}, or mend the network") from error
    if not api.api_key:
        raise InputError(f"{source}: the W&B login is not by an API key: {_LOGIN}")
    return Server(str(api.settings["base_url"]), api.api_key, patience)


def _taken(data: Any, take: Callable[[Any], T]) -> T:
    try:
        return take(data)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _Again("an answer that is not what was asked for") from error


@contextmanager
def _unasked() -> Generator[None]:
    """Without a terminal: the client then fails where it would ask for a key."""
    terminal = sys.stdin
    with open(os.devnull, encoding="utf-8") as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = terminal


def _retry_after_s(header: str) -> float:
    """Seconds, from seconds or a date; 0 where it is neither."""
    try:
        return float(header)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
