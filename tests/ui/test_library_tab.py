"""The Library tab without a browser: the same lists and refusals as the command line, and no foreign markup."""

from pathlib import Path

import gradio as gr
import pytest
from crafted import write_crafted, write_small
from torch.utils.tensorboard import SummaryWriter

from distillgan.errors import UserError
from distillgan.features.descriptors import NAMES
from distillgan.models.header import read_header
from distillgan.paths import Home
from distillgan.store.model_store import stored_model
from distillgan.ui import library_tab
from distillgan.ui.library_tab import curves, draw_curves, facts, sliders_and_map, summary
from distillgan.ui.page import errors_shown

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home(tmp_path)
    write_small(home.models, "rain", 1, tags=["wet", "field"], note="two nights on the roof")
    write_small(home.models, "wind", 2, tags=["dry"], vocoder={"name": "harmonic", "generator": {}})
    return home


def listed(home: Home, words="", own="any vocoder", tag=None, order="name", reverse=False) -> list[str]:
    return [row[0] for row in library_tab.model_rows(home, words, own, tag, order, reverse)]


def test_the_list_is_searched_narrowed_and_ordered(home):
    assert listed(home) == ["rain", "wind"] and listed(home, reverse=True) == ["wind", "rain"]
    assert listed(home, "ROOF two") == ["rain"] and listed(home, "roof wind") == []
    assert listed(home, own="with a vocoder of its own") == ["wind"] and listed(home, own="without") == ["rain"]
    assert listed(home, tag="dry") == ["wind"] and listed(home, tag="dry", own="without") == []
    assert listed(home, order="minutes") == ["wind", "rain"] == listed(home, order="error")
    assert library_tab.all_tags(home) == ["dry", "field", "wet"]
    row = library_tab.model_rows(home, "", "any vocoder", None, "name", False)[0]
    assert row[2:] == [2.0, "2.00 dB", "", "1.2 MB", "wet, field"] and len(row) == 7


def test_a_damaged_file_is_in_the_list_and_says_so(home):
    (home.models / "half.distillgan").write_bytes(home.model("rain").read_bytes()[:5000])
    assert listed(home) == ["half", "rain", "wind"] and listed(home, tag="wet") == ["rain"]
    record = library_tab.model_record(home, "half")
    assert "This file cannot be played" in summary(record) and "half" in summary(record)


def test_tags_become_those_that_are_written(home):
    library_tab.change_tags(home, "rain", "Wet, night  roof")
    assert read_header(home.model("rain")).tags == ["night", "roof", "wet"]
    with pytest.raises(UserError, match="a tag is one word"):
        library_tab.change_tags(home, "rain", "wet,no!")
    assert read_header(home.model("rain")).tags == ["night", "roof", "wet"]
    library_tab.change_tags(home, "rain", "")
    assert read_header(home.model("rain")).tags == []


@pytest.mark.parametrize("name", ["nosuch", "../outside", "models/rain", "", "rai", "/etc/passwd"])
def test_only_what_is_in_the_list_can_be_chosen(home, name):
    """The name comes from the browser."""
    write_small(home.root, "outside", 3)
    for act in (library_tab.model_record, library_tab.verified, lambda h, n: library_tab.exported(h, n, str(h.root))):
        with pytest.raises(UserError, match="there is no model"):
            act(home, name)


def test_a_model_is_verified_and_taken_away_whole(home, tmp_path):
    assert library_tab.verified(home, "rain") == "rain is whole: each tensor is as it was written."
    copies = tmp_path / "copies"
    copies.mkdir()
    first, second = (library_tab.exported(home, "rain", str(copies)) for _ in range(2))
    assert first != second and first.name == "rain.distillgan" and first.read_bytes() == second.read_bytes()
    data = bytearray(home.model("wind").read_bytes())
    data[-1] ^= 1
    home.model("wind").write_bytes(data)
    assert "wind is damaged: vae.weight" in library_tab.verified(home, "wind").replace("vocoder.weight", "vae.weight")
    with pytest.raises(UserError, match="does not match its checksum"):
        library_tab.exported(home, "wind", str(copies))


def test_an_upload_is_checked_and_added_under_the_name_that_is_asked_for(home, tmp_path):
    upload = write_small(tmp_path / "cache", "drone", 4)
    path, added = library_tab.imported(home, str(upload), " hum ")
    assert added and path == home.model("hum") and read_header(path).name == "hum"
    assert library_tab.imported(home, str(upload), "").added is False  # there already
    other = write_small(tmp_path / "cache" / "2", "rain", 5)
    with pytest.raises(UserError) as refusal:
        library_tab.imported(home, str(other), "")
    assert str(refusal.value).startswith("rain.distillgan: rain is taken") and "--name" not in str(refusal.value)
    upload.write_bytes(upload.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"^drone.distillgan: ") as refusal:
        library_tab.imported(home, str(upload), "other")
    assert str(tmp_path) not in str(refusal.value) and not home.model("other").exists()
    with pytest.raises(UserError, match=r"choose a \.distillgan file first"):
        library_tab.imported(home, None, "")


def test_texts_from_a_strangers_file_are_no_markup(home):
    write_small(home.models, "evil", 6, note=EVIL, licence=EVIL, tags=[EVIL], vocoder={"name": EVIL, "generator": {}})
    record = library_tab.model_record(home, "evil")
    shown = summary(record) + facts(record)
    assert "<img" not in shown and "&lt;img" in shown

    @errors_shown
    def refuse():
        raise UserError(EVIL)

    with pytest.raises(gr.Error) as refusal:
        refuse()
    assert "<img" not in str(refusal.value.message) and "&lt;img" in refusal.value.message


def test_sliders_are_shown_with_what_they_were_measured_to_do(tmp_path):
    path = write_crafted(tmp_path, "rain", sliders=("brightness",), halves=("reverb",))
    table, figure = sliders_and_map(path)
    rows = {row.split("<td>")[1].partition("<")[0]: row for row in table.split("<tr")[2:]}
    assert list(rows) == list(NAMES) and len(figure.axes) == 8
    assert "<td>338</td><td>1024</td><td>3104</td><td>Hz</td>" in rows["brightness"]
    assert "0 … 10" in rows["reverb"] and "inactive" in rows["warmth"] and "rank correlation" in rows["warmth"]
    assert "axis1 to axis2" in table
    words, figure = sliders_and_map(write_crafted(tmp_path, "plain"))
    assert "without an analysis" in words and figure is None
    path.write_bytes(path.read_bytes()[:-1])
    assert figure is None and "truncated" in sliders_and_map(path)[0]


def test_how_the_training_went_is_read_from_what_tensorboard_was_told(tmp_path):
    run = tmp_path / "run"
    for stage, losses in (
        ("vae", ("train/loss", "val/mel_error_db")),
        ("harmonic", ("train/loss_mel", "val/mel_error")),
    ):
        with SummaryWriter(run / stage) as writer:
            for step in (10, 20, 30):
                for name in (*losses, "epoch", "train/learning_rate"):
                    writer.add_scalar(name, 100 / step**2, step)
    found = curves(run)
    assert {stage: sorted(lines) for stage, lines in found.items()} == {
        "vae": ["train/loss", "val/mel_error_db"],
        "harmonic": ["train/loss_mel", "val/mel_error"],
    }
    steps, values = found["vae"]["train/loss"]
    assert steps == [10, 20, 30] and values == pytest.approx([1, 0.25, 1 / 9])
    figure = draw_curves(found, "rain")
    assert [len(axis.lines) for axis in figure.axes] == [1, 1, 1, 1]
    assert curves(tmp_path / "nosuch") == {}
    (run / "vae" / "events.out.tfevents.9.junk").write_bytes(b"\x00junk")
    assert found["harmonic"] == curves(run)["harmonic"]


def test_a_note_of_the_file_is_among_its_facts(home):
    assert "two nights on the roof" in facts(stored_model(Path(home.model("rain"))))
