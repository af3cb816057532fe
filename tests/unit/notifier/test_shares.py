"""What one tenant may have of a notifier's places."""

from services.notifier.shares import Shares


def taken(shares: Shares, tenant: str, wanted: int = 1_000) -> int:
    """How many a tenant gets who takes what he can."""
    got = 0
    while got < wanted and shares.room(tenant):
        shares.take(tenant)
        got += 1
    return got


def test_nobody_takes_all() -> None:
    """One alone has three quarters at the most, and each that comes finds some free, the first of many more than the last."""
    shares = Shares(places=256, width=4)
    assert taken(shares, "first") == 192
    assert [taken(shares, f"{number}") for number in range(4)] == [48, 12, 3, 1]


def test_fewer_when_others_come() -> None:
    """Who has more than his share by now takes no more until it is his again, and who ends gives back."""
    shares = Shares(places=16, width=4)
    assert (taken(shares, "one", 9), taken(shares, "two")) == (9, 5)
    assert [shares.room(tenant) for tenant in ("one", "two", "three")] == [0, 0, 1]
    for _ in range(5):
        shares.leave("two")
    assert [shares.room(tenant) for tenant in ("one", "two")] == [3, 5]


def test_a_few_places() -> None:
    """There is one for everybody, even where there is but one."""
    assert taken(Shares(places=1, width=4), "one") == 1


def test_held_back() -> None:
    """A lane comes back, once, when there is room for all its places; the one that waited for longest first."""
    shares = Shares(places=16, width=4)
    assert taken(shares, "one") == 12
    for lane in ("a", "b", "a", "c"):
        shares.hold_back("one", lane)
    assert shares.bring_back("two") == []
    for ended in range(1, 9):
        shares.leave("one")
        assert shares.bring_back("one") == (["a"] if ended == 4 else ["b"] if ended == 5 else ["c"] if ended == 6 else [])
    for lane in ("a", "b", "c"):
        shares.hold_back("one", lane)
    assert shares.bring_back("one") == ["a", "b"]
    assert shares.bring_back("one", every=True) == ["c"]


def test_not_before_much_is_idle() -> None:
    """What is brought back has no place until its messages have come: for a few places no lane is brought with all it has."""
    shares = Shares(places=256, width=4)
    assert taken(shares, "one") == 192
    shares.hold_back("one", "a")
    for _ in range(47):
        shares.leave("one")
    assert shares.bring_back("one") == []
    shares.leave("one")
    assert shares.bring_back("one") == ["a"]


def test_who_has_none_left_leaves_none_behind() -> None:
    """With the last place of a tenant all his lanes come back, for nobody will pass a place on."""
    shares = Shares(places=4, width=4)
    assert taken(shares, "one") == 3
    for lane in ("a", "b", "c"):
        shares.hold_back("one", lane)
    brought = []
    for _ in range(3):
        shares.leave("one")
        brought.append(shares.bring_back("one"))
    assert brought == [[], [], ["a", "b", "c"]]


def test_taking_turns() -> None:
    """Lanes that wait have one place each by turns, until there is room for all that they want, or nothing is due in them."""
    shares = Shares(places=16, width=4)
    assert shares.next_in_turn("one") is None
    for lane in ("a", "b", "c"):
        shares.hold_back("one", lane)
    assert [shares.next_in_turn("one") for _ in range(4)] == ["a", "b", "c", "a"]
    shares.forget("one", "b")
    assert [shares.next_in_turn("one") for _ in range(2)] == ["c", "a"]
    assert shares.bring_back("one") == ["c", "a"]
    assert shares.next_in_turn("one") is None


def test_held_back_where_there_is_little() -> None:
    """A lane that is wider than what its tenant may have does not wait for ever."""
    shares = Shares(places=2, width=4)
    assert taken(shares, "one") == 1
    shares.hold_back("one", "a")
    assert shares.bring_back("one") == []
    shares.leave("one")
    assert shares.bring_back("one") == ["a"]
