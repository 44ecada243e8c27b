"""What belongs to a living process is never taken for what a killed one left, however many start at once."""

import os
import subprocess
import sys

from undiffuse.support.files import UNFINISHED, clear_unfinished
from undiffuse.support.scratch import clear_scratch

MAKERS = """
import sys
from pathlib import Path
from undiffuse.support.files import write_file
from undiffuse.support.scratch import scratch_folder

here, me = Path(sys.argv[1]), sys.argv[2]
for k in range(400):
    with scratch_folder(here) as folder:
        (folder / "mine").write_text(me)
        write_file(here / "shared.txt", me.encode())
        assert (folder / "mine").read_text() == me
"""


def test_processes_that_make_and_clear_in_one_folder_lose_nothing_of_one_another(tmp_path):
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKERS, tmp_path, str(k)], stderr=subprocess.PIPE, text=True)
        for k in range(4)
    ]
    for maker in makers:
        _, err = maker.communicate(timeout=120)
        assert maker.returncode == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ["shared.txt"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".undiffuse-abcd1234").mkdir()
    (tmp_path / f".x.json.abcd1234{UNFINISHED}").write_bytes(b"half")
    clear_scratch(tmp_path)
    clear_unfinished(tmp_path)
    assert os.listdir(tmp_path) == []
