"""SL 651-2014 on the line: frames, noise, answers, packets. Vectors: sl651_vectors.txt, built from the standard."""

import csv
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrology.science.sl651 import (
    NOISE_RUN,
    Coding,
    Direction,
    End,
    Fault,
    Frame,
    Function,
    Noise,
    Packet,
    Receiver,
    crc16,
    encode,
)
from hydrology.science.sl651_elements import Malformed, decode
from hydrology.science.sl651_talk import (
    PATIENCE,
    REMEMBERED,
    Assembler,
    Step,
    confirm,
    expects_answer,
    period,
    question,
    set_clock,
)

VECTORS = [
    bytes.fromhex(line)
    for line in (Path(__file__).parent / "sl651_vectors.txt").read_text().splitlines()
    if line.startswith("  ")
]
UNIFORM, HOURLY, EVENT, TIDE, HEARTBEAT, STAY, HANG_UP, CLOCK, FIRST, SECOND, DONE, ASCII = VECTORS
FOUND = Path(__file__).resolve().parents[3] / "shared" / "data" / "sl651_frames.tsv"
needs_found = pytest.mark.skipif(not FOUND.is_file(), reason="no ../shared/data/sl651_frames.tsv beside us")

TEXTS = st.binary(max_size=60)
FRAMES = st.builds(
    Frame,
    st.sampled_from(Coding),
    st.sampled_from(Direction),
    st.integers(0, 255),
    st.text("0123456789ABCDEF", min_size=10, max_size=10),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    TEXTS,
    st.sampled_from(End),
    st.none() | st.tuples(st.integers(1, 0xFFF), st.integers(1, 0xFFF)).map(lambda n: Packet(max(n), min(n))),
)
STREAMS = st.lists(
    st.binary(max_size=30) | FRAMES.map(encode) | FRAMES.map(lambda frame: encode(frame)[:-5]), max_size=6
).map(b"".join)
Event = Frame | Noise


def heard(stream: bytes, cuts: Iterable[int] = ()) -> list[Event]:
    receiver = Receiver()
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    events = [event for a, b in pairwise(edges) for event in receiver.feed(stream[a:b])]
    return events + receiver.end()


def frame_in(stream: bytes) -> Frame:
    (event,) = heard(stream)
    assert isinstance(event, Frame)
    return event


def noise_in(stream: bytes) -> Noise:
    (event,) = heard(stream)
    assert isinstance(event, Noise)
    return event


def broken(frame: bytes, at: int = 20) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 0x10]) + frame[at + 1 :]


# Frames


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_every_vector_is_one_frame_and_is_written_back_to_the_bit(vector: bytes) -> None:
    frame = frame_in(vector)
    assert encode(frame) == vector == frame.raw


@needs_found
def test_frames_found_in_public_are_judged_like_their_check_sums() -> None:
    with FOUND.open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t") if not row["hex"].endswith("...")]
    assert len(rows) > 45
    for row in rows:
        (event,) = heard(bytes.fromhex(row["hex"]))
        if row["crc_ok"] == "True":
            assert isinstance(event, Frame)
            shown = (event.direction.name.lower(), f"{event.function:02X}", event.rtu)
            assert shown == (row["dir"], row["func"], row["rtu"])
            assert event.fragment or decode(event).rtu == row["rtu"]
        else:
            assert isinstance(event, Noise)
            assert event.where in {"crc", "length"}


def test_uplink_and_downlink_change_the_addresses_round() -> None:
    up, down = frame_in(HOURLY), frame_in(STAY)
    assert (up.direction, up.centre, up.rtu) == (Direction.UP, 1, "0044030021")
    assert (down.direction, down.centre, down.rtu) == (Direction.DOWN, 1, "0044030021")


def test_ascii_frame_has_the_same_fields() -> None:
    frame = frame_in(ASCII)
    assert (frame.coding, frame.centre, frame.rtu, frame.function, frame.serial) == (
        Coding.ASCII, 1, "4403030001", Function.TIMED, 0x6A,
    )  # fmt: skip
    assert frame.text.endswith(b"VT 12.68 ")


def test_check_sum_is_modbus() -> None:
    assert crc16(b"123456789") == 0x4B37  # the catalogue's check value


@given(FRAMES)
def test_a_written_frame_is_read_as_it_was(frame: Frame) -> None:
    assert frame_in(encode(frame)) == frame


def test_packets_uplink_may_be_longer_than_a_length_with_a_direction_can_say() -> None:
    long = Frame(
        Coding.HEX, Direction.UP, 1, "0044030021", 0, 0x36, bytes(0x2000), End.ETB, packet=Packet(3, 1)
    )
    assert frame_in(encode(long)) == long
    with pytest.raises(ValueError, match="do not fit"):
        encode(Frame(Coding.HEX, Direction.UP, 1, "0044030021", 0, 0x36, bytes(0x1000), End.ETX))


# Noise


@settings(max_examples=300)
@given(STREAMS, st.lists(st.integers(0, 2000), max_size=12))
def test_no_bytes_crash_the_receiver_and_no_chunking_changes_what_it_hears(
    stream: bytes, cuts: list[int]
) -> None:
    whole = heard(stream)
    assert b"".join(event.raw for event in whole) == stream
    assert heard(stream, cuts) == whole
    assert heard(stream, range(len(stream))) == whole


@given(st.binary(max_size=40), FRAMES, st.binary(max_size=40))
def test_a_frame_between_noise_is_found(before: bytes, frame: Frame, after: bytes) -> None:
    # noise that promises a longer frame holds it back, until the line is idle
    assert frame in heard(before + encode(frame) + after)


def test_a_broken_frame_is_told_at_once_with_field_and_reason() -> None:
    receiver = Receiver()
    (noise,) = receiver.feed(broken(EVENT))
    assert isinstance(noise, Noise)
    assert (noise.offset, noise.raw, noise.where, noise.fault) == (0, broken(EVENT), "crc", Fault.LINE)
    assert f"should be {crc16(broken(EVENT)[:-2]):04X}" in noise.why


def test_a_frame_swallowed_by_a_broken_length_is_found_inside() -> None:
    swallowing = EVENT[:12] + b"\xb0" + EVENT[13:]
    events = heard(swallowing + HOURLY + TIDE)
    assert [event.raw for event in events] == [swallowing, HOURLY, TIDE]


def test_a_start_inside_a_text_is_no_start() -> None:
    text = frame_in(EVENT).text + HEARTBEAT
    frame = Frame(Coding.HEX, Direction.UP, 1, "4403030001", 0x1234, 0x36, text, End.ETX)
    assert heard(encode(frame)) == [frame]


def test_a_frame_cut_short_says_so_when_the_line_falls_idle() -> None:
    noise = noise_in(HOURLY[:-4])
    assert (noise.where, noise.why) == ("length", f"cut short: {len(HOURLY) - 4} of {len(HOURLY)} bytes came")


def test_what_a_frame_may_claim_is_capped() -> None:
    receiver = Receiver(longest=32)
    assert [type(event) for event in receiver.feed(EVENT + HEARTBEAT)] == [Noise, Frame]


def test_endless_noise_is_given_away_in_runs() -> None:
    receiver = Receiver()
    events = [event for _ in range(100) for event in receiver.feed(b"\x55" * 100)]
    assert {len(event.raw) for event in events} == {NOISE_RUN}


def test_a_wrong_end_character_is_no_frame() -> None:
    body = EVENT[:-3] + b"\x08"
    noise = noise_in(body + crc16(body).to_bytes(2, "big"))
    assert (noise.where, noise.why) == ("end", "08 is no end character")


@given(FRAMES)
def test_any_frame_is_decoded_or_refused_with_a_reason(frame: Frame) -> None:
    if frame.fragment:
        with pytest.raises(ValueError, match="packet"):
            decode(frame)
        return
    try:
        report = decode(frame)
    except Malformed as malformed:
        assert malformed.flaw.where == "serial"
    else:
        assert all(flaw.why and 0 <= flaw.offset <= len(frame.text) for flaw in report.flaws)


# What the centre says

AT = datetime(2023, 9, 7, 14, 0, 6, tzinfo=UTC)


@pytest.mark.parametrize(("end", "vector"), [(End.ESC, STAY), (End.EOT, HANG_UP)])
def test_a_confirmation_copies_the_serial_and_tells_our_time(end: End, vector: bytes) -> None:
    assert encode(confirm(frame_in(HOURLY), AT, end)) == vector


def test_the_clock_command_begins_with_serial_zero() -> None:
    assert encode(set_clock(frame_in(HOURLY), AT + timedelta(seconds=24))) == CLOCK


def test_a_question_is_the_one_seen_in_the_field() -> None:
    """Query 38 of a public frame (serial 3 there; a centre that begins says 0): hours 16 to 17, every 5 minutes, rain."""
    seen = bytes.fromhex("7E7E112233445501AAAA38801702000324010917150124010916240109170418000005F460059011")
    frame = frame_in(seen)
    since = datetime(2024, 1, 9, 8, tzinfo=UTC)
    heard = replace(frame, direction=Direction.UP, text=b"", end=End.ETX, raw=b"")
    asked = question(
        heard,
        Function.PERIOD,
        period(since, since + timedelta(hours=1), "rain"),
        datetime(2024, 1, 9, 9, 15, 1, tzinfo=UTC),
    )
    assert asked == replace(frame, text=b"\0\0" + frame.text[2:])


def test_an_ascii_station_is_answered_in_ascii() -> None:
    answer = confirm(frame_in(ASCII), AT, End.ESC)
    assert answer.text == b"006A230907220006"
    assert frame_in(encode(answer)) == answer


def test_a_heartbeat_is_never_answered() -> None:
    assert not expects_answer(frame_in(HEARTBEAT))
    with pytest.raises(ValueError, match="not answered"):
        confirm(frame_in(HEARTBEAT), AT, End.ESC)


def test_answers_to_our_questions_are_not_confirmed_but_tests_are() -> None:
    functions = [Function.TEST, Function.PICTURE, Function.REALTIME, Function.STATUS, Function.SET_CLOCK]
    event = frame_in(EVENT)
    expecting = [
        expects_answer(Frame(event.coding, event.direction, 1, event.rtu, 0, function, event.text, event.end))
        for function in functions
    ]
    assert expecting == [True, True, False, False, False]


# Packets


def packets(total: int, *, serial: int = 0x69) -> list[Frame]:
    head = serial.to_bytes(2, "big") + bytes.fromhex("230907233002")
    texts = [head, *(bytes([0x2F, 0x10, seq]) for seq in range(2, total + 1))]
    ends = [End.ETB] * (total - 1) + [End.ETX]
    return [
        Frame(Coding.HEX, Direction.UP, 1, "4403030001", 0x1234, 0x31, text, end, packet=Packet(total, seq))
        for seq, (text, end) in enumerate(zip(texts, ends, strict=True), start=1)
    ]


def test_packets_are_one_report_with_one_confirmation() -> None:
    assembler = Assembler()
    assert assembler.take(frame_in(FIRST), AT).whole is None
    whole = assembler.take(frame_in(SECOND), AT).whole
    assert whole is not None
    assert whole.text == frame_in(FIRST).text + frame_in(SECOND).text
    at = datetime(2023, 9, 7, 15, 30, 4, tzinfo=UTC)
    assert encode(confirm(whole, at, End.EOT)) == DONE
    (rain,) = decode(whole).measures
    assert rain.values == (2.0, 3.5, 4.8, 6.2, 7.5, 8.0, 7.7, 6.0, 4.1, 3.3, 2.5, 1.8)


@given(st.permutations(range(1, 7)))
def test_packets_may_come_in_any_order(order: list[int]) -> None:
    sent, assembler = packets(6), Assembler()
    steps = [assembler.take(sent[seq - 1], AT) for seq in order]
    assert [step.whole is not None for step in steps] == [False] * 5 + [True]
    whole = steps[-1].whole
    assert whole is not None
    assert whole.text == b"".join(frame.text for frame in sent)


def test_missing_packets_are_asked_for_one_at_a_time_and_mended() -> None:
    sent, assembler = packets(5), Assembler()
    steps = [assembler.take(sent[seq - 1], AT) for seq in (1, 3, 5)]
    assert steps[:2] == [Step(), Step()]
    asked = steps[2].repair
    assert asked is not None
    assert (asked.end, asked.packet, asked.serial) == (End.NAK, Packet(5, 2), 0x69)
    again = assembler.take(sent[1], AT)
    assert again.repair is not None
    assert again.repair.packet == Packet(5, 4)
    assert assembler.take(sent[3], AT).whole is not None


def test_a_lost_last_packet_is_asked_for_when_the_station_falls_silent_and_given_up_on_the_third_silence() -> (
    None
):
    sent, assembler = packets(3), Assembler()
    assembler.take(sent[0], AT)
    assembler.take(sent[1], AT)
    assert assembler.stalled(AT + PATIENCE / 2) == []
    asked = [assembler.stalled(AT + n * PATIENCE) for n in (1, 2, 3)]
    assert [step.repair and step.repair.packet for (step,) in asked] == [Packet(3, 3), Packet(3, 3), None]
    assert asked[2][0].lost == (sent[0], sent[1])
    assert asked[2][0].why == "packet 3 never came"
    assert assembler.stalled(AT + 4 * PATIENCE) == []


def test_a_packet_that_comes_after_all_earns_the_station_new_patience() -> None:
    sent, assembler = packets(4), Assembler()
    assembler.take(sent[0], AT)
    for n in (1, 2):
        assembler.stalled(AT + n * PATIENCE)
    assembler.take(sent[1], AT + 2 * PATIENCE)
    (step,) = assembler.stalled(AT + 3 * PATIENCE)
    assert step.repair is not None
    assert step.repair.packet == Packet(4, 3)


def test_a_repeated_last_packet_is_confirmed_again_and_the_next_report_begins_anew() -> None:
    sent, assembler = packets(2), Assembler()
    assembler.take(sent[0], AT)
    whole = assembler.take(sent[1], AT).whole
    assert whole is not None
    assert assembler.take(sent[0], AT).whole is None
    assert assembler.take(sent[1], AT).whole == whole
    later = packets(2, serial=0x6A)
    assert assembler.take(later[0], AT).whole is None
    following = assembler.take(later[1], AT).whole
    assert following is not None
    assert following.serial == 0x6A


def test_another_report_that_begins_gives_up_the_one_before() -> None:
    assembler = Assembler()
    sent = packets(3)
    assembler.take(sent[0], AT)
    step = assembler.take(packets(3, serial=0x6A)[0], AT)
    assert step.lost == (sent[0],)
    assert "another report" in step.why


def test_packets_cannot_fill_the_memory() -> None:
    assembler = Assembler(most_bytes=20, most_open=2)
    sent = packets(9)
    steps = [assembler.take(frame, AT) for frame in sent[:6]]
    assert "more than 20 bytes" in steps[5].why
    assert steps[5].lost == tuple(sent[:6])
    opened = [assembler.take(packets(total)[0], AT + timedelta(seconds=total)) for total in (3, 4, 5)]
    assert [len(step.lost) for step in opened] == [0, 0, 1]


def test_a_whole_report_is_forgotten_in_time() -> None:
    sent, assembler = packets(2), Assembler()
    for frame in sent:
        assembler.take(frame, AT)
    assert assembler.stalled(AT + REMEMBERED) == []
    assert assembler.take(sent[1], AT + REMEMBERED).whole is None
