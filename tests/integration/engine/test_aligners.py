"""The real aligners: the bundled one in each of its languages, and wav2vec2 from a directory."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from services.transcriber.engine.alignment.alignment import OWN, Alignment
from services.transcriber.engine.alignment.choice import choose_aligners
from services.transcriber.engine.alignment.letters import LetterModels, any_held
from services.transcriber.engine.alignment.phonemes import LANGUAGES, PhonemeModels, Phonemes
from services.transcriber.engine.hardware import Hardware
from services.transcriber.engine.heard import Chunk, Heard, HeardWord, Span
from services.transcriber.engine.imports import lean
from services.transcriber.engine.installing import install
from services.transcriber.engine.manifest import ALIGNER
from services.transcriber.engine.media import Samples, decode
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.engine.shelf import Shelf
from tests.integration.engine.child import MODELS

ALPHABET = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]


@pytest.fixture(scope="session")
def phonemes() -> Phonemes:
    """The bundled aligner, loaded."""
    return Phonemes(install(ALIGNER, MODELS), threads=1)


@pytest.fixture(scope="session")
def samples(conversation: Path) -> Samples:
    return decode(conversation).samples


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """A model directory with a tiny English wav2vec2 of random weights: it fits in everywhere and knows nothing."""
    directory = tmp_path / "wav2vec2-en"
    directory.mkdir()
    (directory / "vocab.json").write_text(json.dumps({letter: token for token, letter in enumerate(ALPHABET)}))
    untyped: Any = transformers
    tokenizer = untyped.Wav2Vec2CTCTokenizer(str(directory / "vocab.json"))
    untyped.Wav2Vec2Processor(untyped.Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(directory)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": (8,) * 7}
    torch.manual_seed(1)
    config = untyped.Wav2Vec2Config(vocab_size=len(ALPHABET), **small, num_conv_pos_embedding_groups=4)
    untyped.Wav2Vec2ForCTC(config).save_pretrained(directory)
    return tmp_path


@pytest.mark.parametrize(
    ("held", "counts"),
    [
        ("hub/models--Systran--faster-whisper-large-v3", False),
        ("hub/models--theainerd--Wav2Vec2-large-xlsr-hindi", True),
        ("torchaudio/wav2vec2_fairseq_base_ls960_asr_ls960.pth", True),
        ("torchaudio", False),
        ("speakers", False),
    ],
)
def test_a_hub_with_other_models_holds_no_aligner(tmp_path: Path, held: str, counts: bool) -> None:  # noqa: FBT001 - a row
    """Then WhisperX's aligners are not even imported, which takes many seconds of the first job in each language."""
    (tmp_path / held).mkdir(parents=True)
    assert any_held(tmp_path) is counts


def test_every_aligner_of_the_hub_is_called_so() -> None:
    """A WhisperX that names one otherwise shows here."""
    with lean():
        from whisperx import alignment  # noqa: PLC0415 - as where it is used

    assert all("wav2vec2" in name.lower() for name in alignment.DEFAULT_ALIGN_MODELS_HF.values())


def greeting(language: str) -> Heard:
    """Diane and Sheila's first words, with attention's times."""
    words = (HeardWord(" Hello.", 0.9, 0.2, 0.6), HeardWord(" ♪", 0.5, 0.6, 1.0), HeardWord(" Hello.", 0.9, 1.1, 1.5))
    return Heard((Chunk(Span(6.5, 8.3), (), words, language),), language, 1.0)


@pytest.mark.parametrize(
    ("language", "word"), [("en", " Yankee"), ("es", " agente"), ("fr", " aujourd'hui"), ("it", " perché"), ("ru", " номер")]
)
def test_every_bundled_lexicon_says_how_words_sound(phonemes: Phonemes, language: str, word: str) -> None:
    """Each language's words, known ones and made-up ones, and its numbers have phonemes; symbols have none."""
    assert language in LANGUAGES
    assert len(phonemes.tokens(word, language)) >= 4
    assert phonemes.tokens(word[1:3] * 3, language)
    assert phonemes.tokens(" 12", language)
    assert phonemes.tokens(" ♪", language) == []


def test_what_is_remembered_of_words_is_bounded(phonemes: Phonemes) -> None:
    """An engine lives for months, and words without end sound the same when they are met again."""
    forgetful = Phonemes(install(ALIGNER, MODELS), threads=1, most_known=3)
    words = [" Yankee", " 12", " agent", " 13", " Yankee"]
    assert [forgetful.tokens(word, "en") for word in words] == [phonemes.tokens(word, "en") for word in words]
    assert len(forgetful._known) <= 3


def test_words_are_found_where_they_are_said(phonemes: Phonemes, samples: Samples) -> None:
    """Both greetings are where the reference has them; what cannot be read stands between its neighbours."""
    shelf = Shelf()
    alignment = Alignment([PhonemeModels(shelf, lambda: install(ALIGNER, MODELS), threads=1)])
    placed = alignment.place(greeting("en"), samples, lambda _fraction: None)
    hello, symbol, again = placed.words
    assert hello.start == pytest.approx(6.68, abs=0.1)
    assert again.start == pytest.approx(7.634, abs=0.1)
    assert [word.timing for word in placed.words] == ["aligned", "interpolated", "aligned"]
    assert hello.end <= symbol.start < symbol.end <= again.start
    assert placed.aligners == (phonemes.name,)
    assert [each.kind for each in shelf.names] == ["aligner"], "where it can be unloaded"


def test_a_wav2vec2_model_in_the_model_directory_is_used(own_model: Path, samples: Samples) -> None:
    """It aligns its language without any hub; others keep attention's times. The weights are random: only plumbing is tested."""
    (own_model / "hub" / "models--somebody--something-else").mkdir(parents=True)
    shelf = Shelf()
    alignment = Alignment([LetterModels(shelf, own_model, "cpu", download=False)])
    placed = alignment.place(greeting("en"), samples, lambda _fraction: None)
    assert placed.aligners == ("wav2vec2 wav2vec2-en",)
    assert [word.timing for word in placed.words] == ["aligned", "interpolated", "aligned"]
    assert all(6.5 <= word.start < word.end <= 8.3 for word in placed.words)
    assert [each.kind for each in shelf.names] == ["aligner"], "where it can be unloaded"
    for language in ("de", "ja", "sw"):
        assert alignment.place(greeting(language), samples, lambda _fraction: None).aligners == (OWN,)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_is_asked_for_by_name(own_model: Path) -> None:
    """Where the engine runs on one, so do these models."""
    with (
        pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA"),
        LetterModels(Shelf(), own_model, "cuda", download=False).use("en"),
    ):
        pass


@pytest.mark.parametrize(
    ("named", "device", "order"),
    [
        ("auto", "cpu", [PhonemeModels, LetterModels]),
        ("auto", "cuda", [LetterModels, PhonemeModels]),
        ("ctc", "cuda", [PhonemeModels]),
        ("wav2vec2", "cpu", [LetterModels]),
        ("whisper", "cpu", []),
    ],
)
def test_the_order_is_the_settings_or_the_devices(named: str, device: str, order: list[type]) -> None:
    """`auto` prefers the cheap aligner on a CPU and WhisperX's own on a GPU; a name leaves no choice. Nothing is loaded for it."""
    settings = EngineSettings(alignment=named)  # type: ignore[arg-type]  # a parameter is any string to the type checker
    chosen = choose_aligners(settings, Hardware(device, "int8", 8, 2), Shelf(), hub=False)
    assert [type(each) for each in chosen._preferred] == order
