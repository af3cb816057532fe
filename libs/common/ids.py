"""Identifiers: UUIDv7, so that they sort by time and index well. Typed, so that one kind cannot stand in for another."""

from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

JobId = NewType("JobId", UUID)
LeaseToken = NewType("LeaseToken", UUID)
EventId = NewType("EventId", UUID)
DeliveryId = NewType("DeliveryId", UUID)

new = uuid7
