"""Importing WhisperX without the libraries it names but does not use on our path: 4 s instead of 14 s until the child is ready.

`whisperx.asr` pulls in pyannote.audio, Lightning, torchvision, scikit-learn, pandas and torch's compiler, all for features that are
not used to transcribe. While it is imported, optional ones are absent (libraries that probe for them switch the feature off) and
required ones are stand-ins: a stand-in's names import the real module when they are first called or read, so behaviour stays the same
and only the moment changes. Afterwards nothing is left in `sys.modules`: whoever needs the real libraries imports them as usual.

Meanwhile another thread would find the stand-ins too: what is imported for use goes through `whole`.
"""

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

OPTIONAL = ("torchvision", "sklearn", "scipy")
"""Probed for by transformers; without them it leaves out its image and evaluation features."""

STAND_INS: dict[str, tuple[str, ...]] = {
    "pandas": (),
    "pyannote.core": ("Annotation", "Segment"),
    "torch._dynamo._trace_wrapped_higher_order_op": ("TransformGetItemToIndex",),
    "transformers.integrations.flex_attention": ("flex_attention_forward",),
    "whisperx.vads.pyannote": ("Pyannote",),
    "whisperx.vads.silero": ("Silero",),
}
"""Modules that must be there, with the names that are imported from them and called, if ever, much later."""

DECORATORS = {"torch._dynamo": ("allow_in_graph",)}
"""Decorators applied while importing: standing in, they return the function as it is (it is then traced by the compiler as any other)."""


_AT_A_TIME = threading.RLock()
"""Whose block it is; `sys.modules` is the process's, so this is as well."""


@contextmanager
def whole() -> Iterator[None]:
    """Within this block libraries are what they are, whatever other threads import meanwhile."""
    with _AT_A_TIME:
        yield


@contextmanager
def lean() -> Iterator[None]:
    """Within this block optional libraries are absent and heavy ones stand in; modules that were already imported stay as they are.

    So do the libraries that transformers counts on once it has been imported.
    """
    with _AT_A_TIME:
        placed: dict[str, ModuleType | None] = {
            name: _StandIn(name, deferred=names) for name, names in STAND_INS.items() if name not in sys.modules
        }
        if "transformers" not in sys.modules:
            placed |= {name: None for name in OPTIONAL if name not in sys.modules}
            placed |= {name: _StandIn(name, identity=names) for name, names in DECORATORS.items() if name not in sys.modules}
        sys.modules.update(placed)  # type: ignore[arg-type]  # None is importlib's own mark for "cannot be imported"
        try:
            yield
        finally:
            for name, module in placed.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]


class _StandIn(ModuleType):
    """A module with a few names of its own; any other attribute comes from the real module at once."""

    def __init__(self, name: str, deferred: tuple[str, ...] = (), identity: tuple[str, ...] = ()) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        for each in deferred:
            setattr(self, each, _deferred(name, each))
        for each in identity:
            setattr(self, each, lambda function: function)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(_real(self.__name__), attribute)


def _deferred(module: str, name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(_real(module), name)(*args, **kwargs)

    call.__name__ = name
    return call


def _real(name: str) -> ModuleType:
    if isinstance(sys.modules.get(name), _StandIn):
        del sys.modules[name]
    return importlib.import_module(name)
