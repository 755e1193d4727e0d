"""Answers arrive exactly, however long they are and wherever they are cut, and the socket is read while they run."""

import asyncio
import json
import random

import pytest

from client import connect, eventually, run_with
from latency import check_latencies
from model_server import say
from stack import sized

MIB = 1 << 20
PICTURES = "😀👩‍👩‍👧‍👦🇩🇪🏳️‍🌈 汉字かな한글 ñ é́ \u200b\u202e \x7f\x00\x1f \"\\/ \r\n\t 𝔘𝔫𝔦 𠀀 \ufffd \uffff \U0010ffff "
# What a busy sanitized build may add to a ping's way; the real bound is the one of the normal build.
PING_SECONDS = sized(0.050, 1.0)


def run(stack, scenario):
    run_with(connect(stack.url), scenario)


def check_exact(stack, model, name, deltas, timeout=120, whole=True, **how):
    text = "".join(deltas)
    model.script(name, say(deltas, **how))

    async def scenario(client):
        answer = (await client.ask(name, timeout=timeout)).check_streamed()
        assert len(answer.text) == len(text) and answer.text == text
        if whole:
            assert (await client.ask(name, stream=False, timeout=timeout)).final["content"] == text
    run(stack, scenario)


def test_one_mebibyte(stack, model):
    rng = random.Random(1)
    deltas = ["".join(rng.choices("abcdefghij \n", k=1024)) for _ in range(1024)]
    assert len("".join(deltas).encode()) == MIB
    check_exact(stack, model, "mebibyte", deltas)


def test_one_mebibyte_in_one_delta(stack, model):
    check_exact(stack, model, "single", ["x€😀y" * (900_000 // 9)])


def test_one_mebibyte_of_pictures(stack, model):
    count = MIB // len(PICTURES.encode())
    check_exact(stack, model, "pictures", [PICTURES] * count)


def test_twenty_thousand_chunks(stack, model):
    check_exact(stack, model, "chunks", [f"{n} " for n in range(20_000)])


@pytest.mark.parametrize("escaped", [False, True], ids=["utf-8", "escapes"])
@pytest.mark.parametrize("split", [1, 2, 3, 5])
def test_emoji_and_cjk_split_at_every_byte(stack, model, split, escaped):
    deltas = list(PICTURES) + [PICTURES * 3]
    check_exact(stack, model, f"split-{split}-{escaped}", deltas, split=split, escaped=escaped)


def test_u0000(stack, model):
    check_exact(stack, model, "zero", ["before\x00", "\x00", "after"])

    async def scenario(client):
        answer = await client.ask("said \x00 by the client")
        assert answer.text == "You said: said \x00 by the client"
    run(stack, scenario)
    assert model.asked("said \x00 by the client")


def test_a_question_passes_through_exactly(stack, model):
    question = PICTURES.strip() + " end"

    async def scenario(client):
        assert (await client.ask(question)).text == f"You said: {question}"
        await client.send_raw('{"query":"\\ud83d\\ude00 \\u4f1a\\u8bdd","type":"streaming_query"}')
        assert (await client.collect()).text == "You said: 😀 会话"
    run(stack, scenario)


def test_a_question_of_almost_one_mebibyte(stack, model):
    question = "long " + "q" * (MIB - 200)

    async def scenario(client):
        answer = await client.ask(question, timeout=60)
        assert answer.final["type"] in ("stream_end", "error"), "a clear end, whichever the limits say"
        await client.ping()
    run(stack, scenario)


def test_pings_are_answered_while_an_answer_runs(stack, model):
    model.script("pinged", say([f"word-{n:04} " for n in range(300)], delay=0.01))

    async def scenario(client):
        await client.ask_only("pinged")
        await client.until_chunk()
        sent, times, final = 0, [], None
        loop = asyncio.get_running_loop()
        while final is None:
            begun = loop.time()
            await client.send({"type": "ping"})
            sent += 1
            while True:
                frame = await client.receive()
                if frame["type"] == "pong":
                    times.append(loop.time() - begun)
                    break
                if frame["type"] == "stream_end":
                    final = frame
            await asyncio.sleep(0.02)
        assert sent >= 50
        check_latencies(times, PING_SECONDS, limit=sized(1, 4))  # the answer takes three seconds
    run(stack, scenario)


def test_pings_are_answered_during_a_flood(stack, model):
    """An answer as fast as it comes: the client gets it all, and the pong among it."""
    model.script("flood", say(["f" * 1000] * 1000))

    async def scenario(client):
        await client.ask_only("flood")
        await client.until_chunk()
        await client.send({"type": "ping"})
        seen = []
        while "stream_end" not in seen or "pong" not in seen:
            seen.append((await client.receive())["type"])
        assert seen.count("pong") == 1 and seen.count("stream_end") == 1
    run(stack, scenario)


def test_a_second_question_waits_for_the_first(stack, model):
    model.script("first", say(["a "] * 20, delay=0.02))
    model.script("second", say(["b "] * 3))

    async def scenario(client):
        await client.ask_only("first")
        await client.ask_only("second")
        await client.ask_only("third", stream=False)
        first = (await client.collect()).check_streamed()
        second = (await client.collect()).check_streamed()
        third = await client.collect()
        assert (first.text, second.text) == ("a " * 20, "b " * 3)
        assert third.types == ["status", "agent_response"] and third.final["content"] == "You said: third"
    run(stack, scenario)
    assert model.asked("second")[0].received >= model.asked("first")[0].closed - 0.001


def test_the_connection_is_the_conversation(stack, model):
    async def scenario(client):
        await client.ask("my name is Ada")
        await client.ask("and I like\x00 tea", stream=False)
        await client.ask("who am I")
        async with connect(stack.url) as other:
            await other.ask("who else")
    run(stack, scenario)
    said = [(m["role"], m["content"]) for m in model.asked("who am I")[0].messages if m["role"] != "system"]
    assert said == [
        ("user", "my name is Ada"), ("assistant", "You said: my name is Ada"),
        ("user", "and I like\x00 tea"), ("assistant", "You said: and I like\x00 tea"), ("user", "who am I")]
    assert not any("Ada" in json.dumps(m) for m in model.asked("who else")[0].messages)


def test_a_slow_reader_gets_it_all(stack, model):
    model.script("slowly", say(["s" * 512] * 2048))

    async def scenario():
        # A small window, and nobody reads: the frames pile up at the gateway.
        async with connect(stack.url, max_queue=1, read_limit=4096) as client:
            await client.ask_only("slowly")
            await asyncio.to_thread(model.wait_for, "slowly")
            client.socket.transport.pause_reading()
            await eventually(lambda: model.asked("slowly")[0].finished, 60, "the model has said it all")
            client.socket.transport.resume_reading()
            answer = (await client.collect(60)).check_streamed()
            assert answer.text == "s" * 512 * 2048
    asyncio.run(scenario())
