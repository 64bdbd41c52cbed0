"""CAP 1.2: what we write is read as it was, what is hostile or wrong is refused by name."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from alerts.cap.signature import sign, verified
from alerts.cap.values import (
    Alert,
    Area,
    BadCap,
    Category,
    Certainty,
    Info,
    MsgType,
    Reference,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
    identifier,
)
from alerts.cap.xml import MOST_BYTES, read, write

UNIT = "44030041600000"
AT = datetime(2025, 5, 6, 5, 16, 49, tzinfo=UTC)
ENTITY = b"""<?xml version="1.0"?><!DOCTYPE alert [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>&b;</identifier></alert>"""
FOREIGN = """<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>44030041600000_20230907182000_0</identifier>
  <sender>44030041600000</sender>
  <sent>2023-09-07T18:20:00+08:00</sent>
  <status>Actual</status><msgType>Update</msgType><scope>Public</scope>
  <references>44030041600000,44030041600000_20230907150000_1,2023-09-07T15:00:00+08:00</references>
  <info>
    <language>zh-CN</language><category>Met</category><event>暴雨</event>
    <urgency>Immediate</urgency><severity>Severe</severity><certainty>Observed</certainty>
    <eventCode><valueName>national</valueName><value>11B03</value></eventCode>
    <headline>罗湖区发布暴雨橙色预警</headline>
    <resource><resourceDesc>图</resourceDesc><mimeType>image/png</mimeType></resource>
    <area><areaDesc>罗湖区（东门、桂园街道）</areaDesc>
      <polygon>22.5,114.1 22.6,114.1 22.6,114.2 22.5,114.1</polygon>
      <circle>22.55,114.12 3</circle>
      <geocode><valueName>GB/T 2260</valueName><value>440303</value></geocode></area>
  </info>
</alert>"""

words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
names = words.map(lambda text: "".join(c for c in text if c not in ",<&")).filter(bool)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
references = st.builds(Reference, names, names, instants)
degrees = st.integers(-8_000, 8_000).map(lambda n: n / 100)
points = st.tuples(degrees, degrees)
rings = st.lists(points, min_size=3, max_size=5).map(lambda ring: (*ring, ring[0]))
pairs = st.lists(st.tuples(words, words), max_size=2).map(tuple)
areas = st.builds(
    Area,
    words,
    st.lists(rings, max_size=2).map(tuple),
    st.lists(st.tuples(degrees, degrees, st.integers(0, 99).map(float)), max_size=2).map(tuple),
    pairs,
)
infos = st.builds(
    Info,
    language=st.sampled_from(["zh-CN", "en-US"]),
    categories=st.lists(st.sampled_from(Category), min_size=1, max_size=2).map(tuple),
    event=words,
    urgency=st.sampled_from(Urgency),
    severity=st.sampled_from(Severity),
    certainty=st.sampled_from(Certainty),
    response_types=st.lists(st.sampled_from(ResponseType), max_size=2).map(tuple),
    event_codes=pairs,
    effective=st.none() | instants,
    expires=st.none() | instants,
    headline=words,
    description=words,
    parameters=pairs,
    areas=st.lists(areas, max_size=2).map(tuple),
)
alerts = st.builds(
    Alert,
    identifier=names,
    sender=names,
    sent=instants,
    status=st.sampled_from(Status),
    msg_type=st.sampled_from(MsgType),
    scope=st.just(Scope.PUBLIC),
    note=words,
    codes=st.lists(words, max_size=2).map(tuple),
    references=st.lists(references, min_size=1, max_size=2).map(tuple),
    infos=st.lists(infos, max_size=2).map(tuple),
)


@given(alerts)
def test_a_written_message_is_read_as_it_was(alert: Alert) -> None:
    assert read(write(alert)) == alert


def test_a_foreign_message_is_read_with_all_we_use() -> None:
    alert = read(FOREIGN.encode())
    assert (alert.msg_type, alert.status) == (MsgType.UPDATE, Status.ACTUAL)
    assert alert.references[0].identifier == "44030041600000_20230907150000_1"
    [info] = alert.infos
    assert (info.event, info.severity, info.event_codes) == (
        "暴雨",
        Severity.SEVERE,
        (("national", "11B03"),),
    )
    [area] = info.areas
    assert area.geocodes == (("GB/T 2260", "440303"),)
    assert area.circles == ((22.55, 114.12, 3.0),)
    assert area.polygons[0][1] == (22.6, 114.1)


def test_times_are_written_with_their_offset_and_never_with_z() -> None:
    alert = Alert("a", "b", AT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC)
    assert b"<sent>2025-05-06T13:16:49+08:00</sent>" in write(alert)


@pytest.mark.parametrize(
    ("change", "element"),
    [
        (("<scope>Public</scope>", ""), "references"),  # the schema names what stands where scope should
        (("<status>Actual</status>", "<status>Real</status>"), "status"),
        (("2023-09-07T18:20:00+08:00", "2023-09-07T18:20:00Z"), "sent"),
        (("<identifier>44030041600000_20230907182000_0", "<identifier>a b"), "identifier"),
        (("22.5,114.1 22.6,114.1", "22.5;114.1 22.6,114.1"), "polygon"),
        ((" 22.5,114.1</polygon>", " 22.7,114.1</polygon>"), "polygon"),
        (("22.55,114.12 3", "122.55,114.12 3"), "area"),
        (("_1,2023-09-07T15:00:00+08:00", "_1"), "references"),
        (("<scope>Public", "<scope>Private"), "addresses"),
        (("<category>Met</category>", ""), "event"),
    ],
)
def test_what_is_wrong_is_named(change: tuple[str, str], element: str) -> None:
    assert change[0] in FOREIGN
    with pytest.raises(BadCap) as caught:
        read(FOREIGN.replace(*change).encode())
    assert caught.value.element == element
    assert caught.value.what_to_do


@pytest.mark.parametrize(
    "raw",
    [ENTITY, b"", b"<alert/>", b"not xml", FOREIGN.encode()[:300], b"\xff\xfe\x00", b" " * (MOST_BYTES + 1)],
)
def test_hostile_and_broken_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadCap):
        read(raw)


def test_a_file_named_in_a_message_is_never_opened() -> None:
    raw = ENTITY.replace(b'<!ENTITY a "aaaaaaaaaa">', b'<!ENTITY a SYSTEM "file:///etc/hostname">')
    with pytest.raises(BadCap, match="document type or entities"):
        read(raw)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    for damaged in (raw, FOREIGN.encode()[:200] + raw):
        with pytest.raises(BadCap):
            read(damaged)


def test_identifiers_have_the_national_form_and_do_not_repeat_within_a_minute() -> None:
    made = [identifier(UNIT, AT, place) for place in range(600)]
    assert made[0] == "44030041600000_20250506131600_0"
    assert made[123] == "44030041600000_20250506131612_3"
    assert len({*made}) == 600
    assert {len(one) for one in made} == {31}
    with pytest.raises(ValueError, match="600"):
        identifier(UNIT, AT, 600)


def a_certificate(name: str) -> tuple[bytes, bytes]:
    """A key and a certificate of its own, PEM."""
    key = rsa.generate_private_key(65537, 2048)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    began = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + timedelta(days=30))
        .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(pem, *plain), made.public_bytes(pem)


def test_a_signed_message_is_believed_once_its_signer_is_known_and_nothing_was_changed() -> None:
    key, certificate = a_certificate("city")
    _, stranger = a_certificate("stranger")
    signed = sign(FOREIGN.encode(), key, certificate)
    assert read(signed) == read(FOREIGN.encode()), "a signature does not hinder reading"
    assert read(verified(signed, [stranger, certificate])) == read(FOREIGN.encode())
    for changed, known in (
        (signed, [stranger]),
        (signed.replace("橙色".encode(), "红色".encode()), [certificate]),
        (FOREIGN.encode(), [certificate]),
        (signed, []),
    ):
        with pytest.raises(BadCap, match="Signature"):
            verified(changed, known)


def test_a_message_without_a_zone_or_an_end_is_no_message() -> None:
    with pytest.raises(BadCap, match="sent"):
        Alert("a", "b", AT.replace(tzinfo=None), Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC)
    with pytest.raises(BadCap, match="references"):
        Alert("a", "b", AT, Status.ACTUAL, MsgType.CANCEL, Scope.PUBLIC)
    assert Alert("a", "b", AT, Status.ACTUAL, MsgType.ALERT, Scope.PUBLIC).reference == Reference(
        "b", "a", AT
    )
