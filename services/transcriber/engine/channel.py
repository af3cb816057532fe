"""The child's line to its parent: requests in, events out, one JSON object a line, on what were standard input and output.

Libraries print, and some read. So both descriptors are kept here under other numbers; 1 is pointed at standard error and 0 at nothing: what
is printed past Python (`logs` sees to the rest) lands beside the log and can never sit between two events. When the requests end, the
parent is gone, and this process goes at once, whatever it is doing.
"""

import logging
import os
import threading
from queue import SimpleQueue

from services.transcriber import protocol

log = logging.getLogger(__name__)

EXIT_PARENT_GONE = 0
EXIT_PROTOCOL = 76


class Channel:
    """`requests` fills by itself from the moment the channel is claimed.

    So does `cancelled`, with ids that nobody waits for, until they are forgotten.
    """

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._lock = threading.Lock()
        self.requests: SimpleQueue[protocol.Transcribe] = SimpleQueue()
        self.cancelled: set[str] = set()
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    @classmethod
    def claim(cls) -> "Channel":
        """Take standard input and output over, for good."""
        incoming, outgoing = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(incoming, outgoing)

    def send(self, event: protocol.Event) -> None:
        """From any thread; blocks until the pipe has taken the whole line."""
        line = memoryview(protocol.encode(event) + b"\n")
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._outgoing, line) :]
            except BrokenPipeError:
                os._exit(EXIT_PARENT_GONE)

    def forget(self, request: protocol.Transcribe) -> None:
        """It has been answered, and nothing is done for it any more."""
        self.cancelled.discard(request.id)

    def _read(self) -> None:
        """A line that is not a request means that the two sides do not speak the same protocol: nothing good can follow."""
        status = EXIT_PARENT_GONE
        try:
            with os.fdopen(self._incoming, "rb") as stream:
                for line in stream:
                    match protocol.decode_request(line):
                        case protocol.Transcribe() as request:
                            self.requests.put(request)
                        case protocol.Cancel(id=cancelled):
                            self.cancelled.add(cancelled)
        except Exception:
            log.exception("cannot read requests")
            status = EXIT_PROTOCOL
        finally:
            os._exit(status)
