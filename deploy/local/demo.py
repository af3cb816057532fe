"""`./run` and `./run FILE`: one recording through the whole system, seen from outside as any client would see it."""

import importlib.util
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local import foreground
from deploy.local.errors import StackError
from deploy.local.progress import Progress as Startup
from deploy.local.receiver import Receiver
from deploy.local.system import System

ENDED = {"completed", "failed", "cancelled", "expired"}
WAIT_SECONDS = 1
WEBHOOK_SECONDS = 30


def run(system: System, file: Path | None, console: Console, *, once: bool) -> int:
    """Bring everything up, transcribe `file`, and stay until Ctrl-C; what ran before is left running, and then it does not stay."""
    recording = file or sample()
    if not recording.is_file():
        raise StackError(f"There is no file {recording}.")
    ran_before = system.running
    status = 130
    try:
        console.print("[bold]Starting Verbatim[/]")
        with Startup(console) as startup:
            system.up(startup.report)
        status = 0 if transcribe(system, recording, console) else 1
        console.print(f"\nAPI            {system.api_url}/api/v1/jobs", highlight=False)
        console.print(f"Documentation  {system.api_url}/schema", highlight=False)
        console.print(f"Logs           {system.root / 'log'}  (./run logs)", highlight=False)
        if status == 0 and not once and not ran_before:
            console.print("\nIt stays up for you to try. Ctrl-C stops everything.", highlight=False)
            foreground.watch(system, console)
    except KeyboardInterrupt:
        console.print()
    finally:
        if not ran_before:
            foreground.stop(system, console)
    return status


def transcribe(system: System, recording: Path, console: Console) -> bool:
    """Submit, follow, print, and wait for the webhook; False when the job did not complete."""
    # The API is on loopback: a proxy from the environment must not get between.
    with Receiver(system.webhook_secrets) as receiver, httpx.Client(base_url=system.api_url, trust_env=False, timeout=70) as client:
        console.print(f"\n[bold]Submitting[/] {recording.name}", highlight=False)
        job = _submit(client, recording, receiver.url)
        console.print(f"[dim]job {job['id']}[/]", highlight=False)
        job = _follow(client, job, console)
        if job["status"] != "completed":
            error = job.get("error") or {}
            console.print(f"\n[red]The job is {job['status']}[/]: {error.get('code', '')}: {error.get('message', '')}", highlight=False)
            console.print(f"The logs are in {system.root / 'log'}: transcriber.log says more.", highlight=False)
            return False
        transcript = _checked(client.get(f"/api/v1/jobs/{job['id']}/transcript", params={"format": "json"}))
        _print_transcript(transcript, console)
        _print_webhook(receiver, console)
    return True


def sample() -> Path:
    """The two-speaker telephone conversation that pyannote.audio ships. Found without importing it, which would load torch."""
    found = importlib.util.find_spec("pyannote.audio")
    if found is None or not found.submodule_search_locations:
        raise StackError("The sample recording comes with pyannote.audio, which is not installed. Give a file of your own: ./run FILE")
    return Path(found.submodule_search_locations[0]) / "sample" / "sample.wav"


def timestamp(seconds: float) -> str:
    """`01:02.5`, or `1:01:02.5` from an hour on."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:" if hours else ""
    return f"{start}{minutes:02}:{tenths // 10:02}.{tenths % 10}"


def line(segment: dict[str, Any]) -> str:
    """A segment as a timed line, with its speaker when that is known."""
    speaker = f"{segment['speaker']}: " if segment.get("speaker") else ""
    return f"[{timestamp(segment['start'])}] {speaker}{segment['text'].strip()}"


def _submit(client: httpx.Client, recording: Path, webhook_url: str) -> dict[str, Any]:
    with recording.open("rb") as content:
        return _checked(
            client.post("/api/v1/jobs", files={"file": (recording.name, content)}, data={"webhook_url": webhook_url, "diarize": "true"})
        )


def _follow(client: httpx.Client, job: dict[str, Any], console: Console) -> dict[str, Any]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(job["status"], total=100)
        shown = ""
        while job["status"] not in ENDED:
            job = _checked(client.get(f"/api/v1/jobs/{job['id']}", params={"wait": WAIT_SECONDS}))
            doing = job.get("stage") or job["status"]
            bar.update(task, completed=job.get("progress") or 0, description=doing)
            if not console.is_terminal and doing != shown:
                console.print(f"  {job.get('progress') or 0:3.0f} %  {doing}", highlight=False)
            shown = doing
    return job


def _print_transcript(transcript: dict[str, Any], console: Console) -> None:
    console.print(f"\n[bold]Transcript[/] [dim]({transcript['language']['code']}, {transcript['duration']:.1f} s)[/]", highlight=False)
    for segment in transcript["segments"]:
        # markup off: both the time and the words may look like it
        console.print(line(segment), markup=False, highlight=False)


def _print_webhook(receiver: Receiver, console: Console) -> None:
    received = receiver.next(WEBHOOK_SECONDS)
    if received is None:
        console.print(f"\n[yellow]No webhook came within {WEBHOOK_SECONDS} s.[/] notifier.log says why.")
        return
    mark = "[green]✓ signature verified[/]" if received.verified else "[red]✗ signature is wrong[/]"
    console.print(f"\n[bold]Webhook[/] {received.event.get('type', '')}  {mark}  [dim]{received.webhook_id}[/]", highlight=False)


def _checked(answer: httpx.Response) -> dict[str, Any]:
    """The body; raises with the API's own words when it refused."""
    body: dict[str, Any] = answer.json()
    if answer.is_error:
        raise StackError(f"The API refused: {answer.status_code} {body.get('code', '')}: {body.get('detail', '')}")
    return body
