"""Moving pictures, read back frame by frame."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageSequence

import undiffuse as ud
from helpers import complaint
from undiffuse.diffusion.reverse import sample_trajectory
from undiffuse.figures import moving
from undiffuse.formats.movies import movie_bytes
from undiffuse.studies import movie
from undiffuse.studies.movie_scenes import Scenes
from undiffuse.studies.open_run import OpenRun


def made(run, out, **settings):
    result = movie.run(movie.Settings(run, out=out, frames=5, size=160, **settings))
    with Image.open(out) as picture:
        frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]
    return result, frames


@pytest.mark.parametrize("of", ["reverse", "forward", "score", "potential", "weights"])
def test_a_gif_has_a_frame_for_every_time_asked(tiny_run_path, tmp_path, of):
    result, frames = made(tiny_run_path, tmp_path / "m.gif", of=of, n=50)
    assert len(frames) == len(result.times) == 5
    assert {frame.shape for frame in frames} == {(result.height, result.width, 3)}
    assert result.bytes == (tmp_path / "m.gif").stat().st_size


@pytest.mark.parametrize(
    ("of", "times"),
    [("reverse", (12, 9, 6, 3, 0)), ("forward", (0, 3, 6, 9, 12)), ("weights", (12, 9, 6, 4, 1))],
)
def test_times_run_the_way_of_the_scene(tiny_run_path, tmp_path, of, times):
    assert made(tiny_run_path, tmp_path / "m.gif", of=of, n=50)[0].times == times


def test_samples_are_as_many_as_usual_and_data_as_many_as_are_held_out(tiny_run_path, tmp_path):
    numbers = {of: made(tiny_run_path, tmp_path / f"{of}.gif", of=of)[0].n for of in ("reverse", "forward")}
    assert numbers == {"reverse": 1_000, "forward": len(OpenRun.of(tiny_run_path).data.held_out)}
    assert numbers["forward"] < 1_000


def test_the_last_frame_shows_samples_at_time_zero(tiny_run_path, tmp_path):
    """WebP loses some shades; of six frames it is nearest to that of its own samples."""
    _, frames = made(tiny_run_path, tmp_path / "m.webp", n=50, seed=3)
    opened = OpenRun.of(tiny_run_path)
    scenes = Scenes(opened, [0], 50, 3)
    others = [ud.sample(opened.model, 50, seed=ud.Streams(seed)) for seed in range(3, 8)]
    others += [x for t, x in sample_trajectory(opened.model, 50, seed=ud.Streams(3)) if t == 3]
    drawn = [moving.rendered(scenes._states("t = 0", x), 160) for x in others]
    assert np.argmin([np.abs(frames[-1].astype(float) - each).mean() for each in drawn]) == 0


def test_digits_and_networks_of_digits_are_drawn(digits_run_path, tmp_path):
    for of in ("reverse", "weights"):
        result, frames = made(digits_run_path, tmp_path / f"{of}.gif", of=of, n=4)
        assert len(frames) == 5
        assert result.n == 4


def test_a_gif_repeats_and_holds_its_last_frame(tiny_run_path, tmp_path):
    made(tiny_run_path, tmp_path / "m.gif", n=50)
    with Image.open(tmp_path / "m.gif") as picture:
        assert picture.info["loop"] == 0
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert durations == [80, 80, 80, 80, 1200]  # hundredths of a second


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_reads_back_the_frames_of_an_mp4(tmp_path):
    shades = [np.full((32, 48, 3), 40 * k, np.uint8) for k in range(5)]
    (tmp_path / "m.mp4").write_bytes(movie_bytes(shades, 5, ".mp4"))
    words = ["ffmpeg", "-loglevel", "error", "-i", str(tmp_path / "m.mp4"), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(words, capture_output=True, check=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 32, 48)
    assert len(frames) == 5 + 6  # the last one is held 1.2 s
    assert np.abs(frames[:5].mean(axis=(1, 2)) - 40 * np.arange(5)).max() < 8


def test_without_ffmpeg_a_line_says_what_to_install(capsys, tiny_run_path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ffmpeg, which is not installed" in complaint(capsys, "movie", tiny_run_path, "--out", tmp_path / "m.mp4")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere"], "nowhere"),
        (["RUN", "--out", "m.avi"], "ends in .gif, .webp or .mp4"),
        (["RUN", "--out", "there.gif"], "--overwrite"),
        (["RUN", "--of", "scores"], "did you mean 'score'"),
        (["RUN", "--frames", "20"], "t = 0..12 are 13 times"),
        (["RUN", "--frames", "1"], "wanted 2..240"),
        (["RUN", "--size", "9"], "wanted 120..1080"),
        (["RUN", "--fps", "0"], "wanted 1..50"),
        (["RUN", "-n", "0", "--frames", "3"], "wanted 1..10,000"),
        (["RUN", "-n", "101", "--frames", "3", "--of", "forward"], "100 held-out samples"),
        (["DIGITS", "--of", "score", "--frames", "3"], "--of potential"),
    ],
)
def test_mistakes_are_answered_in_a_line(capsys, tmp_path, monkeypatch, request, words, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.gif").write_text("mine")
    runs = {"RUN": "tiny_run_path", "DIGITS": "digits_run_path"}
    given = [str(request.getfixturevalue(runs[word])) if word in runs else word for word in words]
    assert named in complaint(capsys, "movie", *given)
    assert [path.name for path in tmp_path.iterdir()] == ["there.gif"]


def test_json_is_the_result(capsys, tiny_run_path, tmp_path):
    from undiffuse.cli import main

    words = ["movie", str(tiny_run_path), "--frames", "3", "--size", "120", "-n", "20", "--json"]
    assert main([*words, "--out", str(tmp_path / "m.gif")]) == 0
    assert json.loads(capsys.readouterr().out)["times"] == [12, 6, 0]


@pytest.mark.parametrize(("N", "limit"), [(1, 3.0), (32, 6.2), (64, 9.0), (2_000, 45.0)])
def test_bins_of_a_magnetisation_hold_as_many_of_its_values_each(N, limit):
    step = 2 / np.sqrt(N)
    edges = moving.bins(limit, step, -(N + 1) / np.sqrt(N))
    values = (2 * np.arange(-50 * N, 51 * N) - N) / np.sqrt(N)
    counts, _ = np.histogram(values[(values > edges[0]) & (values < edges[-1])], edges)
    assert len(set(counts)) == 1
    assert edges[0] <= -limit < limit <= edges[-1]
    assert np.abs(edges[:, None] - values).min() > 0.49 * step
