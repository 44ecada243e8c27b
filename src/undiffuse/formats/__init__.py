"""A bank in files that other programs read: plain arrays, ONNX, HDF5, torch's state."""
