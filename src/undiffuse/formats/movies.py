"""Moving pictures: frames of one size become GIF or WebP by Pillow, MP4 by ffmpeg where it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.support.errors import FailedJobError, UserError, require

ENDINGS = (".gif", ".webp", ".mp4")
_COLOURS = 128  # of a GIF, the same ones in all frames, so that nothing flickers
_SAMPLED = 5  # frames whose colours they are
_HOLD = 1.2  # seconds that the last frame stays


def check_movie(path: Path) -> None:
    """Make sure a moving picture can be written under this name, before any work is done for it.

    Raises
    ------
    UserError
        If its name ends in none of :data:`ENDINGS`, or it is an MP4 and ffmpeg is not installed.
    """
    require(path.suffix in ENDINGS, f"{path}: wanted a name that ends in .gif, .webp or .mp4, such as {path.stem}.gif")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise UserError(
            f"{path}: MP4 is written by ffmpeg, which is not installed; install it, or give a .gif or .webp"
        )


def movie_bytes(frames: Sequence[NDArray[np.uint8]], fps: int, ending: str) -> bytes:
    """Content of a moving picture that repeats and stays at its last frame for a while.

    Parameters
    ----------
    frames : sequence of (height, width, 3) arrays
        RGB, all of one size; even numbers of rows and columns for MP4.
    fps : int
        Frames a second.
    ending : {".gif", ".webp", ".mp4"}

    Raises
    ------
    FailedJobError
        If ffmpeg fails.
    """
    if ending == ".mp4":
        return _by_ffmpeg(frames, fps)
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    held = round(1000 * _HOLD)
    durations = [*[round(1000 / fps)] * (len(frames) - 1), held]
    buffer = io.BytesIO()
    if ending == ".gif":
        chosen = np.linspace(0, len(frames) - 1, min(_SAMPLED, len(frames))).round().astype(int)
        palette = Image.fromarray(np.concatenate([frames[k] for k in chosen])).quantize(_COLOURS)
        pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        options: dict[str, Any] = {"format": "GIF", "optimize": False}
    else:
        options = {"format": "WEBP", "quality": 75, "method": 4}
    pictures[0].save(buffer, save_all=True, append_images=pictures[1:], duration=durations, loop=0, **options)
    return buffer.getvalue()


def _by_ffmpeg(frames: Sequence[NDArray[np.uint8]], fps: int) -> bytes:
    """H.264 in the pixel format that every player knows; the last frame again and again while it is held."""
    height, width, _ = frames[0].shape
    program = shutil.which("ffmpeg") or "ffmpeg"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    form = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "23", "-movflags", "+faststart"]
    content = b"".join(frame.tobytes() for frame in [*frames, *[frames[-1]] * round(fps * _HOLD)])
    with tempfile.TemporaryDirectory() as folder:  # an MP4 is not written in one pass
        path = Path(folder) / "movie.mp4"
        job = subprocess.run(  # noqa: S603
            [program, "-loglevel", "error", *source, *form, str(path)], input=content, capture_output=True, check=False
        )
        if job.returncode:
            raise FailedJobError(f"ffmpeg failed: {job.stderr.decode(errors='replace').strip()[-200:]}")
        return path.read_bytes()
