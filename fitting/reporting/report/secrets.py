"""What looks like a key or a password, starred out of what is sent around."""

from __future__ import annotations

import re
from typing import Any

from ...json_shapes import is_list, is_object

_STARS = "***"
_NAME = r"(?:keys?|token|secrets?|passw\w*|passphrase|credentials?|authorization)"
_VALUE = r"""(?:"[^"]*"?|'[^']*'?|\\.|[^\s"'])+"""  # as a shell takes it, with quotes that may never end
_ENDS_SO = re.compile(rf"(?i){_NAME}$")
# Names that end so and hold no secret: tokens of a vocabulary, keys of a record.
_HARMLESS = re.compile(r"(?i)(?:^|_)(?:bos|eos|pad|unk|sep|cls|mask|image|special|stop|text|sort|group|primary)_\w+$")
_SCHEME = r"(?:(?:bearer|basic)[ \t]+)?"
_PATTERNS = (
    # NAME=value, "name": value, --name value
    (re.compile(rf"""(?i)([\w-]*{_NAME}["']?[ \t]*[=:][ \t]*|--[\w-]*{_NAME}[ \t]+){_SCHEME}{_VALUE}"""), r"\1***"),
    (re.compile(r"(?i)\b(bearer)[ \t]+[\w.~+/=-]+"), r"\1 ***"),
    # https://user:password@host, curl -u user:password
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^\s/@]+@"), r"\1***@"),
    (re.compile(r"((?:-u|--user)[ \t=]+)[^\s:]+:\S+"), r"\1***"),
    # Tokens that say by their beginning whose they are: Hugging Face, OpenAI, GitHub, AWS, Slack.
    (re.compile(r"\b(?:hf_|sk-|gh[pousr]_|github_pat_|AKIA|xox[abprs]-)[\w-]{8,}"), _STARS),
)


def starred(value: Any) -> Any:
    """The same text, list or mapping, without what is assigned to names that speak of keys and passwords."""
    if isinstance(value, str):
        for pattern, to in _PATTERNS:
            value = pattern.sub(to, value)
        return value
    if is_object(value):
        return {key: _hidden(each) if _secret(key) else starred(each) for key, each in value.items()}
    return [starred(each) for each in value] if is_list(value) else value


def _secret(key: object) -> bool:
    return isinstance(key, str) and bool(_ENDS_SO.search(key)) and not _HARMLESS.search(key)


def _hidden(value: Any) -> Any:
    """Under such a name: texts and numbers are starred, also within lists; nothing else is a secret by itself."""
    if is_list(value):
        return [_hidden(each) for each in value]
    if is_object(value):
        return {key: _hidden(each) for key, each in value.items()}
    return value if value is None or value == "" or isinstance(value, bool) else _STARS
