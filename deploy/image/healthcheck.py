"""`python -IS healthcheck.py live|ready`: asks the service in this container, exits with 0 for yes and 1 for no.

Nothing but the standard library, and little of that: it runs every few seconds.
"""

import http.client
import os
import sys
from collections.abc import Mapping


def port(environ: Mapping[str, str]) -> int:
    """Where the service answers: ingest on its own port, the others on one made for this."""
    return int(environ.get("HEALTH_PORT") or environ.get("PORT") or "8080")


def main(question: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port(os.environ), timeout=5)
    try:
        connection.request("GET", f"/health/{question}")
        answer = connection.getresponse()
        # What it waits for, for `docker inspect`.
        sys.stdout.write(answer.read(4096).decode(errors="replace") + "\n")
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
