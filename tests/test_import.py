import subprocess
import sys

import undiffuse as ud


def test_import_loads_nothing_heavy():
    """Seconds are not tested, causes are: none of these may be needed to import the package."""
    heavy = [
        "torch",
        "numba",
        "matplotlib",
        "scipy",
        "rich",
        "jinja2",
        "loky",
        "diffusers",
        "sklearn",
        "dask",
        "gradio",
    ]
    code = f"import sys, undiffuse; print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_training_a_spiral_needs_no_torch(tiny_file, tmp_path):
    code = (
        "import sys\nfrom undiffuse.cli import main\n"
        f"assert main(['train', {str(tiny_file)!r}, '--out', {str(tmp_path / 'r')!r}, '--workers', '1']) == 0\n"
        "print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "False"


def test_public_names_exist_and_are_documented():
    for name in ud.__all__:
        assert getattr(ud, name).__doc__, name
