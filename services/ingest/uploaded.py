"""A recording that was uploaded before: it lies where its job's recording has to lie, and stays there whatever becomes of the request."""

from common.ids import JobId
from common.jobs.options import Options
from services.ingest import recording
from services.ingest.arriving import Arrivals
from services.ingest.recording import OpenSink, Received


class Uploaded:
    """A finished upload by its id, which becomes the job's."""

    def __init__(self, upload: JobId, tenant: str, options: Options, arrivals: Arrivals) -> None:
        self.upload = upload
        self._tenant = tenant
        self._options = options
        self._arrivals = arrivals

    async def receive(self, into: OpenSink) -> Received:  # noqa: ARG002 - there is nothing to be sent anywhere
        upload = await self._arrivals.ready(self.upload, self._tenant)
        assert upload.source is not None
        return Received(upload.source, self._options, await self.identify())

    async def identify(self) -> bytes:
        """The upload's id stands for the recording."""
        return recording.fingerprint(self._options, str(self.upload))
