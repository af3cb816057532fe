"""Shows people what is going on: on a terminal one live line for each part, elsewhere one line for each change."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table


class Progress:
    """Call `report(part, doing)`; an empty `doing` means done. A part that was never doing anything is not shown."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: dict[str, _Line] = {}
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=10) if console.is_terminal else None

    def report(self, part: str, doing: str) -> None:
        line = self._lines.get(part)
        if line is None:
            if not doing:
                return
            line = self._lines[part] = _Line()
        if doing == line.doing:
            return
        line.doing = doing
        line.seconds = time.monotonic() - line.began
        if self._live is None:
            self._console.print(f"  {part}: {doing or f'done after {line.seconds:.1f} s'}", highlight=False)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for part, line in list(self._lines.items()):
            if line.doing:
                table.add_row(line.spinner, part, f"[dim]{line.doing}[/]")
            else:
                table.add_row("[green]✓[/]", part, f"[dim]{line.seconds:.1f} s[/]")
        return table


class _Line:
    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seconds = 0.0
        self.doing = ""
        self.spinner = Spinner("dots")
