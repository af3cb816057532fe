"""The table of `./run status`."""

from rich.table import Table

from deploy.local.service import Service
from deploy.local.system import System


def status_table(system: System) -> Table:
    """What runs, since it was asked just now, and where it can be reached."""
    table = Table(box=None, pad_edge=False)
    for title in ("", "state", "pid", "address"):
        table.add_column(title)
    for name, service in system.services.items():
        table.add_row(name, _state(service), str(service.pid or ""), service.url)
    own = {server.name: server for server in system.stack.servers}
    addresses = {
        "postgres": system.stack.database_url,
        "rabbitmq": system.stack.amqp_url,
        "seaweedfs": system.stack.s3.endpoint_url,
    }
    for name, address in addresses.items():
        server = own.get(name)
        if server is None:
            table.add_row(name, "yours", "", address)
        else:
            table.add_row(name, _named(running=server.running), str(server.process.pid or ""), address)
    return table


def _state(service: Service) -> str:
    if service.pid is None:
        return _named(running=False)
    waits_for = service.readiness()
    return f"[yellow]waiting for {waits_for}[/]" if waits_for else "[green]ready[/]"


def _named(*, running: bool) -> str:
    return "[green]running[/]" if running else "[red]stopped[/]"
