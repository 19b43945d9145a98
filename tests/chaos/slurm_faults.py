"""What can happen to a sweep on a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from .faults import (
    Fault,
    fill_disk,
    kill_all,
    kill_launcher,
    kill_worker,
    second_launch,
    tear_record,
    terminate_launcher,
    two_launches,
)
from .jobs import Job, jobs_of, slurm
from .scene import Scene

LIMIT_SECONDS = 75.0  # Slurm looks for tasks over their time twice a minute
DEAD_SECONDS = 25.0  # of a node's daemon: longer than SlurmdTimeout


def kill_step(scene: Scene) -> str | None:
    """SIGKILL of all processes of a task's step."""
    job = _running(scene)
    if job is None:
        return None
    step = _step(scene, job)
    for process in step:
        _send(process, signal.SIGKILL)
    return f"{len(step)} processes of task {job.id}" if step else None


def signal_task(scene: Scene) -> str | None:
    """The signal by which Slurm tells that time runs out, sent early."""
    return _to_task(scene, "scancel", "--signal=USR2")


def cancel_task(scene: Scene) -> str | None:
    """A task is cancelled by hand."""
    return _to_task(scene, "scancel")


def requeue_task(scene: Scene) -> str | None:
    """A task is sent back to the queue."""
    return _to_task(scene, "scontrol", "requeue")


def end_time(scene: Scene) -> str | None:
    """A task's time is over before its work is, which a slow node holds up."""
    job = _running(scene)
    if job is None:
        return None
    ends = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 10))
    slurm("scontrol", "update", f"JobId={job.id}", f"EndTime={ends}")
    until = time.monotonic() + LIMIT_SECONDS
    state = job.state
    while time.monotonic() < until and state == "RUNNING":
        _slow_down(scene, job, 2.5)
        state = next((other.state for other in jobs_of(scene.out) if other.id == job.id), "gone")
    return f"task {job.id}, then {state}"


def preempt(scene: Scene) -> str | None:
    """A task has to make room for a more urgent job."""
    job = _running(scene)
    if job is None:
        return None
    words = ("--partition=urgent", f"--nodelist={job.node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
    urgent = slurm("sbatch", "--parsable", *words).strip()
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until and slurm("squeue", "--noheader", "--jobs", urgent).strip():
        time.sleep(0.5)
    return f"task {job.id} by job {urgent}"


def drain_node(scene: Scene) -> str | None:
    """A node takes no more tasks for some seconds."""
    return _node(scene, "drain")


def down_node(scene: Scene) -> str | None:
    """A node is set down under its tasks, and is back some seconds later."""
    return _node(scene, "down")


def kill_node_daemon(scene: Scene) -> str | None:
    """A node's daemon dies: Slurm starts its tasks elsewhere, while their processes go on."""
    job = _running(scene)
    if job is None:
        return None
    words = _kill_daemon(f"slurmd.{job.node}.pid")
    _slow_down(scene, job, DEAD_SECONDS)
    subprocess.run(words, check=True)
    return f"node {job.node} with task {job.id}"


def kill_controller(scene: Scene) -> str | None:
    """Slurm's controller dies, and is back some seconds later."""
    words, seconds = _kill_daemon("slurmctld.pid"), scene.random.uniform(2, 15)
    time.sleep(seconds)
    subprocess.run(words, check=True)
    return f"for {seconds:.1f} s"


def silence_accounting(scene: Scene) -> str | None:
    """sacct has no answer for a while."""
    daemon, seconds = _daemon("slurmdbd.pid"), scene.random.uniform(5, 15)
    daemon.suspend()
    time.sleep(seconds)
    daemon.resume()
    return f"for {seconds:.1f} s"


def _running(scene: Scene) -> Job | None:
    running = [job for job in jobs_of(scene.out) if job.state == "RUNNING"]
    return scene.random.choice(running) if running else None


def _to_task(scene: Scene, *words: str) -> str | None:
    job = _running(scene)
    if job is None:
        return None
    slurm(*words, job.id)
    return f"task {job.id}"


def _node(scene: Scene, state: str) -> str | None:
    job, seconds = _running(scene), scene.random.uniform(2, 8)
    if job is None:
        return None
    slurm("scontrol", "update", f"NodeName={job.node}", f"State={state}", "Reason=chaos")
    time.sleep(seconds)
    slurm("scontrol", "update", f"NodeName={job.node}", "State=resume")
    return f"node {job.node} with task {job.id} for {seconds:.1f} s"


def _step(scene: Scene, job: Job) -> list[psutil.Process]:
    """The processes of a task's step: submitit's, and those that it has started."""
    array, _, task = job.id.partition("_")
    found = []
    for process in scene.processes():
        with contextlib.suppress(psutil.Error):
            here = process.environ()
            mine = here.get("SLURM_ARRAY_JOB_ID", here.get("SLURM_JOB_ID")) == array
            if mine and here.get("SLURM_ARRAY_TASK_ID", "") == task and "python" in process.name():
                found.append(process)
    return found


def _slow_down(scene: Scene, job: Job, seconds: float) -> None:
    """Have a task's trainers work a tenth of the time, so that it is at work all of `seconds`."""
    trainers = [process for process in _step(scene, job) if process in scene.workers()]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for number, pause in ((signal.SIGSTOP, 0.45), (signal.SIGCONT, 0.05)):
            for process in trainers:
                _send(process, number)
            time.sleep(pause)


def _daemon(pid_file: str) -> psutil.Process:
    return psutil.Process(int((Path(os.environ["SLURM_CONF"]).parents[1] / "run" / pid_file).read_text()))


def _kill_daemon(pid_file: str) -> list[str]:
    """Returns the command that starts it again."""
    daemon = _daemon(pid_file)
    words = daemon.cmdline()
    daemon.kill()
    return words


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


DEATH = "Slurm task|killed by SIGKILL"
SLURM = [
    Fault("SIGKILL of a worker", kill_worker, explains=DEATH),
    Fault("SIGKILL of a task's step", kill_step, explains=DEATH),
    Fault("SIGKILL of the launcher", kill_launcher),
    Fault("SIGKILL of launcher and steps at once", kill_all, explains=DEATH),
    Fault("SIGTERM of the launcher", terminate_launcher),
    Fault("a second launch beside the first", second_launch),
    Fault("two launches started at once", two_launches, explains=DEATH),
    Fault("scancel --signal=USR2", signal_task),
    Fault("scancel of a task", cancel_task, explains=DEATH),
    Fault("requeue of a task", requeue_task, explains=DEATH),
    Fault("time limit", end_time, explains=DEATH),
    Fault("preempted", preempt, explains=DEATH),
    Fault("node drained", drain_node),
    Fault("node down", down_node, explains=DEATH),
    Fault("node's daemon dead", kill_node_daemon, explains=DEATH),
    Fault("controller dead", kill_controller),
    Fault("accounting silent", silence_accounting),
    Fault("disk full for 5 s", fill_disk, frozenset({"disk"}), explains=DEATH),
    Fault("a record truncated", tear_record),
]
