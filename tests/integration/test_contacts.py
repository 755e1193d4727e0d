"""Contact requests: kept, listed, and posted to the webhook once, whatever it answers and whoever dies."""

import asyncio
import json
import threading
import time
import uuid

import pytest

import messages
from bus import Bus
from client import eventually, run_with
from stack import Stack


@pytest.fixture(scope="module")
def stack(webhook, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "parley.json"
    path.write_text(json.dumps({"pipelines": [{"uuid": "a", "name": "A"}],
                                "contact": {"webhook": webhook.url, "owner": "Ada"}}))
    with Stack(PARLEY_CONFIG=path, WEBHOOK_TIMEOUT_MS=2000) as running:
        running.start(router=2)
        yield running


def run(stack, scenario):
    run_with(Bus(stack.broker.port), scenario)


async def send(bus, message="call me", identity=None, **fields):
    identity = identity or str(uuid.uuid4())
    contact = messages.Contact(request=identity, connection="c1", message=message.encode(),
                               received_ms=1735689600123, **fields)
    stored = await bus.command("contact", contact, messages.ContactStored)
    assert not stored.failure, stored.failure
    return identity


async def pages(bus, limit):
    """All pages, newest first."""
    before, found = 0, []
    while True:
        page = await bus.command("contact_list", messages.ContactList(before=before, limit=limit), messages.ContactPage)
        assert not page.failure and len(page.contacts) <= limit
        found.append([listed.contact.request for listed in page.contacts])
        before = page.next
        if not before:
            return found


def test_it_is_posted_with_all_that_is_known(stack, webhook):
    async def scenario(bus):
        identity = await send(bus, "ring\0 me 🙂", timestamp=b"now-ish", user_agent=b"Browser/1", user="u1")
        await eventually(lambda: webhook.taken(identity), what="posted")
        assert webhook.of(identity)[0].body == {
            "request_id": identity, "message": "ring\0 me 🙂", "timestamp": "now-ish", "userAgent": "Browser/1",
            "received_at": "2025-01-01T00:00:00.123000", "connection_id": "c1", "user": "u1", "owner": "Ada"}
        bare = await send(bus)
        await eventually(lambda: webhook.taken(bare), what="posted")
        body = webhook.of(bare)[0].body
        assert body["timestamp"] is None and body["userAgent"] is None
    run(stack, scenario)


def test_it_is_tried_until_it_is_taken_and_then_never_again(stack, webhook):
    async def scenario(bus):
        scripts = {"refused": [500, 404], "redirected": [302], "silent": [None], "fine": []}
        sent = {}
        for name, script in scripts.items():
            sent[name] = str(uuid.uuid4())
            webhook.scripts[sent[name]] = list(script)
            await send(bus, name, identity=sent[name])
        for name, script in scripts.items():
            await eventually(lambda: webhook.taken(sent[name]), 30, name)
            assert webhook.tries(sent[name]) == [*script, 200]
        await send(bus, identity=sent["fine"])  # again
        last = await send(bus, "last")
        await eventually(lambda: webhook.taken(last), what="last")
        assert all(webhook.taken(identity) == 1 for identity in sent.values())
    run(stack, scenario)


def test_pages_newest_first(stack, webhook):
    async def scenario(bus):
        sent = [await send(bus, f"number {number}") for number in range(25)]
        everything = await pages(bus, 10)
        assert all(len(page) == 10 for page in everything[:-1])
        listed = [identity for page in everything for identity in page]
        assert listed[:25] == sent[::-1] and len(set(listed)) == len(listed)
        assert (await pages(bus, 100))[0] == listed
        page = await bus.command("contact_list", messages.ContactList(limit=1, before=1), messages.ContactPage)
        assert not page.contacts and not page.next
    run(stack, scenario)


async def delivered(bus):
    """How often the consumer has given out anything."""
    info = json.loads(await bus.request("$JS.API.CONSUMER.INFO.CONTACTS.webhook", b""))
    return info["delivered"]["consumer_seq"]


async def until_delivered(bus, before):
    deadline = time.monotonic() + 15
    while await delivered(bus) <= before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    return await delivered(bus)


def test_only_postings_make_the_next_try_later(stack, webhook):
    """It is handed out again and again while somebody else seems to post it: that is no failed try."""
    async def scenario(bus):
        number = (await bus.stream("CONTACTS"))["last_seq"] + 1
        key, identity = f"$KV.parley_postings.{number}", str(uuid.uuid4())
        webhook.scripts[identity] = [500]

        async def claim(until):
            posting = messages.ContactPosting(until_ms=int(until * 1000))
            assert "error" not in json.loads(await bus.request(key, posting.SerializeToString()))
        seen, until = await delivered(bus), time.time() + 1
        await claim(until)
        await send(bus, identity=identity)
        for _ in range(3):
            seen = await until_delivered(bus, seen)
            until += 0.5
            await claim(until)
        await eventually(lambda: webhook.taken(identity), 30, "posted")
        lines = [line for router in stack.of("router") for line in router.log_lines()
                 if line["message"].startswith("a contact request could not be posted") and line["number"] == number]
        assert [line["delay_ms"] for line in lines] == [1000]
    run(stack, scenario)


def test_a_deleted_request_is_not_posted_any_more(stack, webhook):
    """And what comes after it is."""
    async def scenario(bus):
        gone, stays = str(uuid.uuid4()), str(uuid.uuid4())
        webhook.scripts[gone] = [500, 500]
        await send(bus, identity=gone)
        number = (await bus.stream("CONTACTS"))["last_seq"]
        await eventually(lambda: len(webhook.tries(gone)) == 2, what="two tries")
        for not_found in (False, True):
            answer = await bus.command("contact_delete", messages.ContactDelete(number=number), messages.ContactDeleted)
            assert not answer.failure and answer.not_found is not_found
        await send(bus, identity=stays)
        await eventually(lambda: webhook.taken(stays), 30, "the next is posted")
        pending = 1
        while pending:
            info = json.loads(await bus.request("$JS.API.CONSUMER.INFO.CONTACTS.webhook", b""))
            pending = info["num_ack_pending"] + info["num_pending"]
            await asyncio.sleep(0.02)
        assert len(webhook.tries(gone)) == 2
    run(stack, scenario)


def test_a_full_stream_refuses_what_is_new_and_keeps_what_it_has():
    """Also what would fit but for what the broker adds to each message; also when two routers compete."""
    async def scenario(stack, bus):
        def contact(size):
            return messages.Contact(request=str(uuid.uuid4()), connection="c1", message=b"x" * size)

        async def is_kept(size):
            return not (await bus.command("contact", contact(size), messages.ContactStored)).failure

        async def check():
            state = await bus.stream("CONTACTS")
            assert (state["first_seq"], state["messages"]) == (1, kept), "one was removed"
            return (1 << 20) - state["bytes"]
        kept = sum(await asyncio.gather(*(is_kept(16000) for _ in range(100))))
        assert 60 <= kept < 100
        room = await check()
        for size in range(room, max(0, room - 2000), -7):
            kept += await is_kept(size)
            if size % 5 == 0:
                room = await check()
        assert await check() < 2048
        answer = await bus.command("contact", contact(5000), messages.ContactStored)
        assert answer.failure.startswith(b"no more contact requests can be kept")
        deleted = await bus.command("contact_delete", messages.ContactDelete(number=2), messages.ContactDeleted)
        assert not deleted.failure and not deleted.not_found
        assert await is_kept(5000)

    async def connected(stack):
        async with Bus(stack.broker.port) as bus:
            await scenario(stack, bus)
    with Stack(CONTACTS_MAX_BYTES=1 << 20) as stack:
        stack.start(router=2)
        asyncio.run(connected(stack))


def test_what_is_wrong_is_refused(stack):
    async def scenario(bus):
        for contact in (messages.Contact(request="x", connection="c"),
                        messages.Contact(request="no/token", connection="c", message=b"m"),
                        messages.Contact(request="x", connection="c", message=b"x" * (2 << 20))):
            assert (await bus.command("contact", contact, messages.ContactStored)).failure
    run(stack, scenario)


def test_none_is_lost_when_everything_dies(stack, webhook):
    """Last: everything starts anew. The webhook is out of order while they come."""
    sent = []

    async def before(bus):
        webhook.default = 503
        sent.extend([await send(bus, f"kept {number}") for number in range(10)])
        await eventually(lambda: any(webhook.tries(identity) for identity in sent), what="a try")
    run(stack, before)
    for process in [*stack.running(), stack.broker]:
        process.kill()
    stack.broker.start()
    webhook.default = 200  # what was on its way from the dead is refused by now
    taken = {post.request: webhook.taken(post.request) for post in webhook.posts}
    for process in stack.services:
        stack.restart(process)

    async def after(bus):
        await eventually(lambda: all(webhook.taken(identity) for identity in sent), 90, "all are posted")
        listed = [identity for page in await pages(bus, 7) for identity in page]
        assert listed[:10] == sent[::-1]
        assert all(webhook.taken(identity) == 1 for identity in sent)
        assert all(webhook.taken(identity) == before for identity, before in taken.items() if before), "posted again"
    run(stack, after)


def test_a_broker_that_dies_before_the_acknowledgement_gets_it_later(stack, webhook):
    """The webhook's answer comes while there is no broker: it is acknowledged when that is back, and not posted again."""
    identity = str(uuid.uuid4())
    webhook.scripts[identity] = [200]
    slow = threading.Event()
    answer = webhook.answer

    def held(request):
        slow.wait(10)
        answer(request)

    async def before(bus):
        webhook.answer = held
        await send(bus, identity=identity)
        info = {"num_ack_pending": 0}
        while not info["num_ack_pending"]:
            info = json.loads(await bus.request("$JS.API.CONSUMER.INFO.CONTACTS.webhook", b""))
    run(stack, before)
    stack.broker.kill()
    slow.set()
    deadline = time.monotonic() + 10
    while not webhook.taken(identity) and time.monotonic() < deadline:
        time.sleep(0.01)
    stack.broker.start()

    async def after(bus):
        async def pending():
            info = json.loads(await bus.request("$JS.API.CONSUMER.INFO.CONTACTS.webhook", b""))
            return info["num_ack_pending"] + info["num_pending"]
        deadline = time.monotonic() + 60
        while await pending():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert webhook.taken(identity) == 1
    try:
        run(stack, after)
    finally:
        webhook.answer = answer
