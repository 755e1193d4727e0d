"""LangBot's readers know an answer by its number and its time: it has them also where the events that should bring them
were lost, and where all were and it is repaired from the turn's record."""

import asyncio
import base64
import json

import messages
from bus import STATES, Bus
from client import eventually
from dialects import LangBot, connect, iso_seconds
from stack import Stack

SEGMENT_BYTES = 32 * 1024
START_MS = 1234  # from the question to the answer's beginning


async def get_record(bus, turn):
    answer = json.loads(await bus.request(
        "$JS.API.STREAM.MSG.GET.KV_parley_turns", json.dumps({"last_by_subj": f"$KV.parley_turns.{turn}"}).encode()))
    return messages.TurnRecord.FromString(base64.b64decode(answer["message"]["data"]))


async def put(bus, key, value):
    answer = json.loads(await bus.request(f"$KV.parley_turns.{key}", value))
    assert "error" not in answer, answer


async def end_unheard(bus, job, text):
    """What an agent leaves of an answer, none of whose events arrives."""
    segments = len(text) // SEGMENT_BYTES
    for number in range(segments):
        await put(bus, f"{job.turn}.{number}", text[number * SEGMENT_BYTES:(number + 1) * SEGMENT_BYTES])
    record = messages.TurnRecord(
        turn=job.turn, state=STATES.Value("TURN_STATE_COMPLETED"), attempt=1, segments=segments,
        text=text[segments * SEGMENT_BYTES:], length=len(text), message_id=job.message_id, started_ms=job.asked_ms + START_MS)
    await put(bus, job.turn, record.SerializeToString())


def hear_jobs(bus):
    """What the router queues, from now on."""
    jobs = []
    bus.subscribe("parley.job.*", lambda _subject, data, _status: jobs.append(
        messages.Job.FromString(data.split(b"\r\n\r\n", 1)[1])))  # behind its headers
    return jobs


def run_with(model, scenario, agents):
    async def connected(stack):
        async with Bus(stack.broker.port) as bus, connect(LangBot, stack.gateway.port) as client:
            await scenario(stack, client, bus)

    with Stack(model=model) as stack:
        stack.start(router=1, agent=agents)
        stack.add("gateway", TURN_SILENCE_MS=300)
        asyncio.run(connected(stack))


def test_an_answer_whose_beginning_is_lost(model):
    async def scenario(stack, client, bus):
        jobs = hear_jobs(bus)
        await client.ask_only("begun unheard")
        await eventually(lambda: jobs, what="the job is queued")
        job = jobs[0]
        events = [messages.Event(chunk=messages.Chunk(offset=0, text=b"half")),
                  messages.Event(completed=messages.Completed(length=4))]
        for event in events:
            event.connection, event.turn, event.attempt = job.connection, job.turn, 1
        bus.publish(f"parley.conn.{job.gateway}", messages.Events(events=events).SerializeToString())
        frames = await client.collect_final()
        assert client.text_of(frames) == "half"
        data = frames[-1]["data"]
        assert data["id"] == job.message_id == 2 and iso_seconds(data["timestamp"]) >= job.asked_ms / 1000

    run_with(model, scenario, agents=0)


def test_an_answer_whose_events_are_all_lost(model):
    text = "".join(f"{number} é\n" for number in range(10000))

    async def scenario(stack, client, bus):
        jobs = hear_jobs(bus)
        assert client.text_of(await client.ask("heard")) == "You said: heard"
        record = await get_record(bus, jobs[0].turn)
        assert record.message_id == jobs[0].message_id == 2
        [agent] = stack.of("agent")
        await asyncio.to_thread(stack.remove, agent)
        await client.ask_only("unheard")
        await eventually(lambda: len(jobs) == 2, what="the job is queued")
        await end_unheard(bus, jobs[1], text.encode())
        frames = await client.collect_final()
        assert client.text_of(frames) == text
        data = frames[-1]["data"]
        assert data["id"] == 4 and iso_seconds(data["timestamp"]) == (jobs[1].asked_ms + START_MS) / 1000

    run_with(model, scenario, agents=1)
