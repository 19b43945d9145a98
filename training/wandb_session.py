"""Opening and ending W&B runs so that no trouble of W&B's stops a sweep, and none holds it up for long or twice."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

from .config import SweepConfig

log = logging.getLogger(__name__)
_NO_KEY = "not logged in (`wandb login`)"
_NO_ANSWER = ": Failed to execute API request"  # what follows blames the service of this machine
_given_up: list[str] = []  # why this process has stopped asking the server


class UploadError(RuntimeError):
    """Something did not get to W&B's server."""


def mode_of(config: SweepConfig) -> str:
    """Such as "offline": WANDB_MODE overrides the config, but for a sweep that is not mirrored at all."""
    mode = config.wandb.mode
    return mode if mode == "disabled" else os.environ.get("WANDB_MODE") or mode


def server_trouble() -> str:
    """Why nothing can be uploaded now, in one line; "" where the server has taken this machine's key.

    Waits WANDB_HTTP_TIMEOUT seconds at most, 10 without it.
    """
    mode = os.environ.get("WANDB_MODE") or "online"
    if mode != "online":
        return f"WANDB_MODE={mode} keeps this machine from the server"
    try:
        known = _has_key(verify=True)
    except ImportError as error:
        return f"{error}: pip install 'isoflop[train]'"
    except Exception as error:  # of its many kinds, none is ours to tell apart
        return _one_line(error).partition(_NO_ANSWER)[0]
    return "" if known else _NO_KEY


def open_run(sweep: SweepConfig, folder: Path, **words: Any) -> Any:
    """A W&B run below `folder`, None where the sweep is not mirrored; `words` are wandb.init's.

    Where the server cannot be reached within `wandb.timeout` seconds, or refuses, this run and all later ones of this
    process are offline.
    """
    mode = mode_of(sweep)
    if mode == "disabled":
        return None
    if mode == "online" and not _given_up:
        try:
            if _has_key():
                return _init(sweep, folder, mode, words)
            _give_up(_NO_KEY)
        except Exception as error:
            _give_up(_one_line(error))
            _wandb().teardown()  # the service would refuse the id as in use
    return _init(sweep, folder, "offline" if mode == "online" else mode, words)


def _has_key(verify: bool = False) -> bool:
    """Whether this machine has a key; to `verify` it the server is asked."""
    wandb = _wandb()
    wandb.setup(settings=wandb.Settings(silent=True))  # else the login would ask the server for its greeting
    return wandb.login(prompt=False, verify=verify)


def _init(sweep: SweepConfig, folder: Path, mode: Any, words: Mapping[str, Any]) -> Any:
    wandb = _wandb()
    settings = wandb.Settings(
        init_timeout=sweep.wandb.timeout,
        finish_timeout=sweep.wandb.timeout,
        finish_timeout_raises=True,
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    run = wandb.init(
        project=sweep.wandb.project,
        entity=sweep.wandb.entity,
        group=sweep.name,
        mode=mode,
        dir=str(folder),
        resume="allow",
        reinit="create_new",  # several runs in one process, one after another
        settings=settings,
        **words,
    )
    for handler in logging.getLogger("wandb").handlers:
        handler.handleError = lambda record: None  # on a full disk its log of itself would print a traceback a line
    return run


def end_run(run: Any, folder: Path, *, whole: bool, failed: bool = False) -> None:
    """End `run`, waiting for its upload `wandb.timeout` seconds at most.

    `whole` says that it holds all there is, so that it need not be mirrored again. What is marked as synced is what
    `wandb sync` would skip.
    """
    online = not run.offline
    address = run.url if online else None
    try:
        run.finish(exit_code=1 if failed else 0)
    except TimeoutError:
        _give_up("the server did not take the end of a run in time")
        online = False
    if online:
        (Path(run.dir).parent / f"run-{run.id}.wandb.synced").touch()
    if whole:
        marker = _marker(folder, run.id)
        marker.parent.mkdir(exist_ok=True)
        marker.write_text(address or "")  # reports link there


def wait_for_logs() -> None:
    """Return once the logs of all ended runs are on the disk: `end_run` leaves the last of it to W&B's service."""
    _wandb().teardown()


def is_mirrored(folder: Path, run_id: str) -> bool:
    """Whether the W&B run `run_id` holds all there is to mirror; it goes with the folder wandb/."""
    return _marker(folder, run_id).exists()


def hold_mirror(folder: Path, run_id: str) -> IO[str] | None:
    """Keep other processes from mirroring the run until the file is closed; None where one is at it."""
    path = _marker(folder, f"{run_id}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        pass  # a file system without locks: a cell could be mirrored twice, with the same rows
    return file


def forget_mirrored(folder: Path, run_id: str) -> None:
    """The W&B run is being written anew."""
    _marker(folder, run_id).unlink(missing_ok=True)


def _marker(folder: Path, run_id: str) -> Path:
    return folder / "wandb" / "mirrored" / run_id


def guarded(action: Callable[[], Any]) -> Any:
    """What `action` returns; None, and a line once, where it raises: a mirror must not cost a run."""
    try:
        return action()
    except Exception as error:
        _warn(f"wandb: {_one_line(error)}; the records in the sweep folder are complete")
        return None


def _give_up(why: str) -> None:
    _given_up.append(why)
    _warn(f"wandb: {why}: mirrored offline from here on (upload it with `isoflop sync_wandb`)")


@cache
def _warn(message: str) -> None:
    """Each message once a process: a mirror that is down would repeat it at every row."""
    log.warning("%s", message)


def _one_line(error: Exception) -> str:
    text = re.sub(r"//[^/@\s]+@", "//", " ".join(str(error).split()))  # an address may hold a password
    return text[:300] or type(error).__name__


@cache
def _wandb() -> Any:
    # Its reports on itself would hold the end of a process up when the network is dead.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    # A service taken over from the process that started this one would keep the ids of killed runs in use; within
    # W&B's own sweeps and jobs all runs of a process would get the id that those gave it.
    for name in ("WANDB_SERVICE", "WANDB_SWEEP_ID", "WANDB_LAUNCH"):
        os.environ.pop(name, None)
    import wandb

    return wandb
