"""The bundled diarization pipeline: a directory laid out like pyannote's community-1, made once of verified parts.

pyannote.audio (`Pipeline.from_pretrained`) and WhisperX load it as it is. Beside each model lies the same network for ONNX Runtime, which
on a CPU is several times faster than torch; this package uses it, others need not know. The clustering wants no PLDA, but the pipeline's
constructor does: it gets one that changes nothing.
"""

import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pyannote.audio.core.model import Model
from pyannote.audio.core.task import Problem, Resolution, Specifications

from services.transcriber.engine.diarization.campplus import DIMENSION, MELS, MOST_FRAMES, CampPlus
from services.transcriber.engine.installing import derive, install
from services.transcriber.engine.manifest import SPEAKER_CLUSTERING, SPEAKERS

FORM = 1
"""Counts up when a directory is to be made anew of the same parts."""

SEGMENTATION, EMBEDDING = "segmentation", "embedding"
CHECKPOINT, NETWORK = "pytorch_model.bin", "network.onnx"

_CHUNK_SECONDS = 10
_OPSET = 17


def install_pipeline(root: Path) -> Path:
    """The pipeline's directory under `root`, made first when it is missing or damaged; raises what `install` does."""
    return derive(f"diarization-{SPEAKERS.revision}-{FORM}", root, lambda ready: assemble(install(SPEAKERS, root), ready))


def assemble(parts: Path, into: Path) -> None:
    """Fill the empty directory `into`."""
    for folder in (SEGMENTATION, EMBEDDING, "plda"):
        (into / folder).mkdir()
    with warnings.catch_warnings():
        # The exporter and the tracer announce their successors, and doubt branches that are never taken here.
        warnings.simplefilter("ignore")
        _segmentation(parts, into / SEGMENTATION)
        _embedding(parts, into / EMBEDDING)
    _plda(into / "plda")
    (into / "config.yaml").write_text(yaml.safe_dump(_config(), sort_keys=False))


def _segmentation(parts: Path, into: Path) -> None:
    (into / CHECKPOINT).write_bytes((parts / "segmentation.bin").read_bytes())
    model = Model.from_pretrained(into / CHECKPOINT, strict=False).eval()
    _export(model, torch.zeros(2, 1, model.audio.get_num_samples(_CHUNK_SECONDS)), into / NETWORK, {0: "batch"})


def _embedding(parts: Path, into: Path) -> None:
    weights = torch.load(parts / "campplus.pt", map_location="cpu", weights_only=True)
    network = _class(parts / "campplus.py", "CAMPPlus")(feat_dim=MELS, embedding_size=DIMENSION)
    network.load_state_dict(weights)
    network.eval()
    example = torch.zeros(2, MOST_FRAMES, MELS)
    _export(network, example, into / NETWORK, {0: "batch", 1: "frames"})
    script = io.BytesIO()
    jit: Any = torch.jit  # untyped in part
    jit.save(jit.trace(network, example, check_trace=False), script)
    model = CampPlus(torch.frombuffer(bytearray(script.getvalue()), dtype=torch.uint8))
    torch.save(
        {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "hparams_name": "kwargs",
            "pytorch-lightning_version": "2.0.0",
            "pyannote.audio": {
                "versions": {"torch": "2.0.0", "pyannote.audio": "3.0.0"},
                "architecture": {"module": CampPlus.__module__, "class": CampPlus.__name__},
                "specifications": Specifications(
                    problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=float(_CHUNK_SECONDS)
                ),
            },
        },
        into / CHECKPOINT,
    )


def _plda(into: Path) -> None:
    zero, one = np.zeros(DIMENSION), np.eye(DIMENSION)
    np.savez(into / "xvec_transform.npz", mean1=zero, mean2=zero, lda=one)
    np.savez(into / "plda.npz", mu=zero, tr=one, psi=np.linspace(10.0, 0.1, DIMENSION))


def _config() -> dict[str, Any]:
    return {
        "dependencies": {"pyannote.audio": "4.0.0"},
        "pipeline": {
            "name": "pyannote.audio.pipelines.SpeakerDiarization",
            "params": {
                "clustering": "AgglomerativeClustering",
                "segmentation": f"$model/{SEGMENTATION}",
                "segmentation_batch_size": 8,
                "embedding": f"$model/{EMBEDDING}",
                "embedding_batch_size": 8,
                "embedding_exclude_overlap": True,
                "plda": "$model/plda",
            },
        },
        "params": {"clustering": dict(SPEAKER_CLUSTERING), "segmentation": {"min_duration_off": 0.0}},
    }


def _export(model: torch.nn.Module, example: torch.Tensor, path: Path, free: dict[int, str]) -> None:
    data = io.BytesIO()
    export: Any = torch.onnx.export  # writes to files in memory as well, though its types do not say so
    export(
        model,
        (example,),
        data,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": free, "output": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    path.write_bytes(data.getvalue())


def _class(path: Path, name: str) -> Any:
    """A class from a source file whose bytes have been verified."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)
