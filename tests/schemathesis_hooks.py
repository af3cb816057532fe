"""What Schemathesis cannot know of the API: what a recording looks like, and that URL sources are fetched."""

import schemathesis
from hypothesis import strategies as st
from schemathesis.transport.serialization import Binary

from tests.recordings import wav

schemathesis.openapi.format("binary", st.integers(1, 50).map(lambda number: Binary(wav(bytes(320 * number)))))
schemathesis.openapi.format("uri", st.integers(1, 9).map(lambda number: f"http://127.0.0.1:{number}/recording.wav"))
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
