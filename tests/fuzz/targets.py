"""All that is fuzzed."""

from tests.fuzz.headers import HEAD, HEADER
from tests.fuzz.multipart import MULTIPART
from tests.fuzz.signatures import SECRET, URL, WEBHOOK

TARGETS = {target.name: target for target in (MULTIPART, SECRET, WEBHOOK, URL, HEADER, HEAD)}
