import pytest
import torch

from undiffuse.training import Execution


@pytest.fixture
def as_on_gpu(monkeypatch):
    """The device "cuda" lives on the processor: everything is called as on a GPU, and nothing is recorded."""
    monkeypatch.setattr("undiffuse.support.gpu.is_there", lambda: True)
    monkeypatch.setattr("undiffuse.support.gpu.home", lambda device: torch.device("cpu"))
    monkeypatch.setattr("undiffuse.support.gpu.free_bytes", lambda: 8 << 30)
    return Execution(device="cuda", workers=1)
