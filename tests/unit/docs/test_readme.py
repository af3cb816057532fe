"""The README's table of settings is complete and names nothing that does not exist."""

import re

import msgspec

from deploy.local.service import REPOSITORY
from services.ingest.settings import Settings as Ingest
from services.janitor.settings import Settings as Janitor
from services.notifier.settings import Settings as Notifier
from services.transcriber.engine.settings import EngineSettings
from services.transcriber.settings import Settings as Transcriber

ALL = (Ingest, Transcriber, EngineSettings, Notifier, Janitor)


def test_settings_table() -> None:
    """Every variable that a service reads is in the table, and the other way round."""
    table = (REPOSITORY / "README.md").read_text().split("## Configuration")[1].split("\n## ")[0]
    documented = {name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"`([A-Z][A-Z0-9_]{3,})`", row)}
    known = {field.name.upper() for settings in ALL for field in msgspec.structs.fields(settings)}
    assert documented == known
