"""Damaged logs give what is whole in them; logs of one run are joined as the run went."""

import random

import numpy as np
import pytest

from isoflop.fitting import InputError, load_runs
from isoflop.fitting.readers.sources import read_log
from isoflop.fitting.readers.wandb_records import read_segment

from .wandb_logs import framed, read, record, written

ROWS = [{"_step": i, "tokens": 100 * (i + 1), "loss": 4 - i / 100, "pad": "x" * 700} for i in range(120)]


def log(folder, number, rows, **words):
    return written(folder / f"offline-run-20260101_00000{number}-a" / "run-a.wandb", rows, began=number, **words)


def test_a_log_cut_anywhere_gives_every_whole_record(tmp_path):
    ends = written(tmp_path / "run-a.wandb", ROWS, config={"n_params": 1e6})  # over three blocks
    data = (tmp_path / "run-a.wandb").read_bytes()
    assert len(data) > 2.5 * 32768
    chance = random.Random(0)
    cuts = [0, 3, 7, 8, *(chance.randrange(len(data)) for _ in range(200)), *ends[-3:]]
    for cut in cuts:
        (tmp_path / "run-a.wandb").write_bytes(data[:cut])
        segment = read_segment(tmp_path / "run-a.wandb")
        whole = sum(end <= cut for end in ends)
        assert segment.records == whole, cut
        _, losses = segment.columns.get("loss", ((), ()))
        assert list(losses) == [row["loss"] for row in ROWS[: max(whole - 1, 0)]], cut  # the first record is the run's
        assert (segment.problem == "") == (cut in ends), cut


def test_a_flipped_byte_ends_the_reading_and_never_the_program(tmp_path):
    path = tmp_path / "run-a.wandb"
    ends = written(path, ROWS[:20], config={"n_params": 1e6})
    data = path.read_bytes()
    chance = random.Random(1)
    for _ in range(300):
        at = chance.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :])
        whole = 0 if at < 7 else sum(end <= at for end in ends)
        assert read_segment(path).records == whole, at
        if whole:
            (flag,) = read_log(path).frame["flag"]
            assert f"the log is torn after {ends[whole - 1]:,} of {len(data):,} bytes" in flag
        else:
            with pytest.raises(InputError, match=f"^{path}: "):
                read_log(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the log is empty"),
        (bytes(7), "the log has no header yet"),
        (bytes(4096), "the log has no header yet"),
        (b":W&B", "the log is torn after 0 of 4 bytes"),
        (framed([])[0], "the log holds no record yet"),
        (framed([])[0] + bytes(64), "the log is torn after 7 of 71 bytes"),
        (b"PK\3\4 a zip file", "it is no W&B log: it begins with b'PK"),
    ],
)
def test_a_log_without_a_record_is_one_line_alone_and_a_flagged_row_among_others(tmp_path, data, said):
    path = tmp_path / "offline-run-20260101_000000-odd" / "run-odd.wandb"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_runs(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)
    log(tmp_path, 1, ROWS[:3], config={"n_params": 1e6})
    table = load_runs(tmp_path)
    assert table.fitted["run"].tolist() == ["a"]
    (out,) = table.excluded
    assert out["run"] == "odd"
    assert out["reason"].startswith(f"unfinished: {said}")
    assert any(note.startswith(f"1 of 2 logs are not whole (first: {path}: {said}") for note in table.notes)


def test_a_content_that_is_no_record_ends_the_reading(tmp_path):
    good = record(history={"item": [{"key": "loss", "value_json": "1.5"}]})
    (tmp_path / "run-a.wandb").write_bytes(framed([good, b"\xff\xff\xff", good])[0])
    frame, points, _ = read(tmp_path / "run-a.wandb")
    assert points["loss"].tolist() == [1.5]
    assert "torn after" in frame["flag"][0]


def test_values_as_older_versions_wrote_them(tmp_path):
    row = {"train": {"loss": 2.5, "text": "x", "image": {"_type": "image-file", "width": 3}}, "bad": "NaN", "ok": True}
    written(tmp_path / "run-a.wandb", [row, {"train|loss": 2.0}])  # without a step
    _, points, _ = read(tmp_path / "run-a.wandb")
    assert points["step"].tolist() == [0, 1]
    assert points["train.loss"].tolist() == [2.5, 2.0]
    assert set(points) == {"step", "row", "train.loss", "bad"}


def test_steps_passed_by_the_user_are_kept_and_trained_again_where_resumed(tmp_path):
    log(tmp_path, 1, ROWS[:10], ended=None)
    log(tmp_path, 2, [row | {"loss": 1.0} for row in ROWS[6:12]])
    frame, points, told = read(tmp_path)
    assert points["step"].tolist() == list(range(12))
    assert points["loss"].tolist() == [row["loss"] for row in ROWS[:6]] + [1.0] * 6
    assert frame["flag"].tolist() == [""]  # only the last log must end well
    assert any("(first: a from step 6 on)" in note for note in told.notes)


def test_a_run_begun_afresh_replaces_its_first_attempt_and_what_that_did_beyond(tmp_path):
    log(tmp_path, 1, ROWS[:10], ended=1)
    log(tmp_path, 2, [row | {"loss": 1.0} for row in ROWS[:4]])
    frame, points, _ = read(tmp_path)
    assert points["step"].tolist() == [0, 1, 2, 3]
    assert points["loss"].tolist() == [1.0] * 4
    assert frame["loss"].tolist() == [1.0]


def test_a_learning_rate_or_a_speed_that_rises_is_no_counter(tmp_path):
    def rising(first):
        return [{"_step": i, "lr": 0.1 * (first + i), "tokens_per_second": first + i, "loss": 1.0} for i in range(5)]

    log(tmp_path, 1, rising(0))
    log(tmp_path, 2, rising(5))
    _, points, _ = read(tmp_path)
    assert points["step"].tolist() == [0, 1, 2, 3, 4]
    assert points["lr"].tolist() == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])


@pytest.mark.parametrize(("key", "column"), [("train/global_step", "train/global_step"), ("step", "logged.step")])
def test_the_trainings_own_step_is_the_runs_step(tmp_path, key, column):
    log(tmp_path, 1, [{"_step": i, key: 50 * (i + 1), "train/loss": 3.0} for i in range(4)])
    log(tmp_path, 2, [{"_step": i, key: 50 * (i + 5), "train/loss": 2.0} for i in range(4)])
    frame, points, _ = read(tmp_path)
    assert points["step"].tolist() == list(range(8))
    assert points[column].tolist() == [50 * i for i in range(1, 9)]
    assert frame["step"].tolist() == [400]


def test_the_last_log_decides_whether_a_run_ended(tmp_path):
    log(tmp_path, 1, ROWS[:5], ended=0, config={"lr": 1, "only": 2}, summary={"best": 1, "nest|a": 1})
    log(tmp_path, 2, ROWS[5:8], ended=None, config={"lr": 3}, summary={"best": 4, "nest|b": 2})
    row = read_log(tmp_path).frame.iloc[0]
    assert row["flag"] == "unfinished: the log has no exit record (killed, or still running)"
    assert (row["config.lr"], row["config.only"], row["summary.best"]) == (3, 2, 4)
    assert (row["summary.nest.a"], row["summary.nest.b"]) == (1, 2)


def test_the_same_id_in_two_projects_is_two_runs(tmp_path):
    log(tmp_path, 1, ROWS[:2])
    other = record(run={"run_id": "a", "project": "another"}), record(exit={})
    (tmp_path / "run-b.wandb").write_bytes(framed(other)[0])
    frame = read_log(tmp_path).frame
    assert sorted(frame["run.project"]) == ["another", "p"]
    assert sorted(frame["run"]) == ["another/a", "p/a"]  # of one name they would pass for rows of one run


def test_a_torn_mirror_does_not_hide_that_the_others_are_ours(tmp_path):
    config = {"isoflop_schema": 1, "run_id": "c1", "n_params": 1000, "tokens": 5000, "flops": {"exact": 3e7}}
    log(tmp_path, 1, config=config, summary={"status": "finished", "loss": 3.25}, rows=[])
    (tmp_path / "run-b.wandb").write_bytes(b"")
    table = load_runs(tmp_path)
    assert table.fitted[["run", "loss", "flops_exact"]].to_numpy().tolist() == [["c1", 3.25, 3e7]]
    assert [row["reason"] for row in table.excluded] == ["unfinished: the log is empty"]


def test_a_parent_written_after_its_parts_replaces_them(tmp_path):
    log(tmp_path, 1, [], summary={"f|a": 1, "f": {"b": 2}, "f|c": 3, "g": np.pi})
    row = read_log(tmp_path).frame.iloc[0]
    assert (row["summary.f.b"], row["summary.f.c"], row["summary.g"]) == (2, 3, np.pi)
    assert "summary.f.a" not in row
