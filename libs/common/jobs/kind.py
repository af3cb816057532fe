"""What a recording is: sound, or a video's sound. A cover is a picture, and makes no video."""

from typing import Literal

Kind = Literal["audio", "video"]
