"""NumPy files for tests/library/interop.rs: writes files for it, and reads its files.

    python numpy_files.py FOLDER

FOLDER has `bilro.npz` and `bilro.npy`. This checks them, and writes, of the
numbers 0, 1, 2, 3, 4, 5 as [[0, 1, 2], [3, 4, 5]] in each type, row by row and
column by column, `TYPE.ORDER.npy`; and all of them in `plain.npz` and
`packed.npz`.
"""

import pathlib
import sys

import numpy as np

TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
TYPES += ["float16", "float32", "float64", ">i4", ">f8"]


def main(folder):
    numbers = np.arange(6).reshape(2, 3)
    arrays = {}
    for name in TYPES:
        for order in "CF":
            array = np.asarray(numbers, dtype=name, order=order)
            key = f"{name.replace('>', 'big-')}.{order}"
            np.save(folder / f"{key}.npy", array)
            arrays[key] = array
    arrays["bool"] = np.array([True, False])
    arrays["scalar"] = np.float64(0.1)
    arrays["none"] = np.zeros((2, 0), dtype="float32")
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)

    loaded = np.load(folder / "bilro.npz")
    assert loaded["x"].dtype == np.float32 and loaded["y"].dtype == np.uint32
    assert (loaded["x"] == numbers).all() and (loaded["y"] == [3, 4]).all()
    assert (np.load(folder / "bilro.npy") == numbers.T).all()
    print(np.__version__)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
