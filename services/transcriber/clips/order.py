"""What the transcriber's parent and the cutting process say to each other.

The order goes down the process's stdin as a line of JSON, the zip comes up its stdout as it is made. A process that fails leaves the reason
in a file, and the zip unfinished; one whose stdin ends has nobody left to work for.
"""

import msgspec

from common.archives import Cut
from common.jobs.job import Failure


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Cut the recording at `source` as the transcript at `transcript` says; `failure` is where a `Failure` goes.

    Of several audio tracks the one that was transcribed is cut, which depends on the `language` that the job asked for. No more than
    `memory` bytes and `seconds` of CPU are taken for it.
    """

    job_id: str
    source: str
    transcript: str
    failure: str
    cut: Cut
    language: str | None = None
    memory: int
    seconds: float


encode = msgspec.json.encode
decode = msgspec.json.Decoder(Order).decode
decode_failure = msgspec.json.Decoder(Failure).decode
