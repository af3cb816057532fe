"""The queues: safe to declare on every broker version that we support, and every internal event has one."""

from typing import get_args

from common import topology
from common.webhook import EventType


def test_every_queue_keeps_its_messages() -> None:
    """A bounded number of deliveries, then the dead letters, at least once; priorities would fail the declaration of a quorum queue."""
    for queue in topology.QUEUES:
        arguments = queue.arguments
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-delivery-limit"] == topology.DELIVERY_LIMIT
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"  # which at-least-once requires
        assert arguments["x-dead-letter-routing-key"] == queue.dead
        assert "x-max-priority" not in arguments
        assert "x-consumer-timeout" not in arguments


def test_no_broker_drops_a_dead_letter() -> None:
    """It may come back as often as it must; RabbitMQ 4 has a limit of its own, and 3 takes no negative one."""
    assert topology.DEAD["x-queue-type"] == "quorum"
    assert int(topology.DEAD["x-delivery-limit"]) >= 1_000_000
    assert "x-message-ttl" not in topology.DEAD


def test_events_that_one_of_ours_must_get_are_mandatory() -> None:
    """What drives a job, its webhooks and the janitor must be routed; what only tells others may find nobody."""
    assert {"job.created", "job.requeued", "job.completed", "job.failed", "delivery.due", "cleanup.requested"} <= topology.ROUTED
    assert set(get_args(EventType)) == set(topology.NOTIFIER_EVENTS.bindings)
    assert not {"job.progress", "job.deleted", "webhook.disabled"} & topology.ROUTED
