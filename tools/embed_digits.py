"""Pack some digits of an IDX folder into the files that come with the package: python tools/embed_digits.py FOLDER."""

import lzma
import sys
from pathlib import Path

import numpy as np

from undiffuse.datasets import idx
from undiffuse.datasets.mnist import EMBEDDED

OUT = Path(__file__).parents[1] / "src/undiffuse/datasets/mnist_013"

for split, stem in idx.SPLITS.items():
    images, labels = idx.read_split(Path(sys.argv[1]), split)
    kept = np.isin(labels, EMBEDDED)  # in the order of the files
    for kind, array in (("images-idx3", images[kept]), ("labels-idx1", labels[kept])):
        packed = lzma.compress(idx.encode(array), preset=9 | lzma.PRESET_EXTREME)
        (OUT / f"{stem}-{kind}-ubyte.xz").write_bytes(packed)
        print(f"{stem}-{kind}: {array.shape}, {len(packed)} bytes")
