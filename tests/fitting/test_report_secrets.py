"""A page is sent around: what looks like a key is starred wherever it stands, and what is none stays."""

from __future__ import annotations

from typing import Any

import pytest

from isoflop.fitting.reporting.report.secrets import starred


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("export WANDB_API_KEY=0123LEAK", "export WANDB_API_KEY=***"),
        ('export HF_TOKEN="a LEAK c" && run', "export HF_TOKEN=*** && run"),
        ("HF_TOKEN='a LEAK' python x.py", "HF_TOKEN=*** python x.py"),
        ("export KEY='begun LEAK", "export KEY=***"),
        ("python x.py --token LEAK --n 3", "python x.py --token *** --n 3"),
        ("curl -H 'Authorization: Bearer LEAK' x", "curl -H 'Authorization: ***"),
        ("Bearer LEAK.part", "Bearer ***"),
        ("git clone https://me:LEAK@host/x.git", "git clone https://***@host/x.git"),
        ("curl -u me:LEAK https://host", "curl -u *** https://host"),
        ("login hf_LEAKLEAKLEAK", "login ***"),
        ("db_password: LEAK", "db_password: ***"),
    ],
)
def test_what_a_text_assigns_to_a_secret_is_starred(text: str, left: str) -> None:
    assert starred(text) == left


def test_entries_are_starred_by_their_key() -> None:
    config = {
        "factory_options": {"api_key": "sk-LEAK1", "hf_token": "hf_LEAK2", "password": 1234},
        "env": [{"AWS_SECRET": "LEAK3"}],
        "credentials": {"user": "LEAK4"},
        "keys": ["LEAK5"],
    }
    assert starred(config) == {
        "factory_options": {"api_key": "***", "hf_token": "***", "password": "***"},
        "env": [{"AWS_SECRET": "***"}],
        "credentials": {"user": "***"},
        "keys": ["***"],
    }


@pytest.mark.parametrize(
    "kept",
    [
        {"tokenizer": {"kind": "bytes"}, "batch_tokens": 4096, "eos_token": "</s>", "text_key": "content"},
        {"tokens": {"exponent": 0.5}, "token_bytes": "ids.npy", "api_key": "", "token": None},
        ["module load cuda", "export TOKENIZERS_PARALLELISM=false", "--batch-tokens 4096", "basic sweep of bearers"],
    ],
)
def test_what_is_no_secret_stays(kept: Any) -> None:
    assert starred(kept) == kept
