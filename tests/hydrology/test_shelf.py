"""Answers put together from encoded items: the right ones, in order, with the ETag of what they show."""

import gzip
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from foundation.scope import below
from hydrology.shelf import Asked, Shelf, etag_of, row_of

PATHS = ["1/", "1/a/", "1/a/x/", "1/a/y/", "1/b/", "1/b/z/"]
items = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(["reservoir", "river"]), st.integers(0, 3)), max_size=12
)
asked = st.builds(
    Asked,
    paths=st.lists(st.sampled_from(PATHS), max_size=2).map(tuple),
    kind=st.sampled_from(["", "river"]),
    status=st.just(""),
    first=st.lists(st.integers(0, 11).map(str), max_size=3).map(tuple),
)


def shelf_of(rows: list[tuple[str, str, int]], as_of: str = "1", age_s: int = 0) -> Shelf:
    placed = [
        (path, {"station": str(n), "kind": kind, "level_m": level, "age_s": age_s})
        for n, (path, kind, level) in enumerate(rows)
    ]
    return Shelf({"as_of": as_of}, [row_of(path, i["station"], i, i["kind"]) for path, i in placed])


def shown(shelf: Shelf, one: Asked) -> list[dict[str, Any]]:
    return orjson.loads(shelf.answer(one).body)["items"]


@given(items, asked)
def test_an_answer_shows_what_was_asked_own_ones_first_each_part_in_order(
    rows: list[tuple[str, str, int]], one: Asked
) -> None:
    wanted = [
        str(n) for n, (path, kind, _) in enumerate(rows) if below(path, one.paths) and one.kind in ("", kind)
    ]
    own = [code for code in wanted if code in one.first]
    codes = [item["station"] for item in shown(shelf_of(rows), one)]
    assert codes == own + [code for code in wanted if code not in own]


@given(items, items, asked)
def test_two_answers_share_an_etag_only_if_they_show_the_same(
    rows: list[tuple[str, str, int]], others: list[tuple[str, str, int]], one: Asked
) -> None:
    shelf, other = shelf_of(rows), shelf_of(others, as_of="2", age_s=60)
    same = [i | {"age_s": 60} for i in shown(shelf, one)] == shown(other, one)
    assert (shelf.answer(one).etag == other.answer(one).etag) == same


@given(items, asked)
def test_the_zipped_body_is_the_body(rows: list[tuple[str, str, int]], one: Asked) -> None:
    answer = shelf_of(rows).answer(one)
    assert gzip.decompress(answer.zipped) == answer.body
    assert orjson.loads(answer.body)["as_of"] == "1"


def test_what_a_snapshot_has_put_together_it_does_not_put_together_again() -> None:
    shelf = shelf_of([("1/a/", "river", 1)])
    assert shelf.answer(Asked(("1/",))).body is shelf.answer(Asked(("1/",))).body
    kept = shelf.prepared().answer(Asked(("1/a/",)))
    assert kept is shelf.answer(Asked(("1/a/",)))


def test_a_client_is_recognised_by_any_form_of_the_etag() -> None:
    answer = shelf_of([("1/a/", "river", 1)]).answer(Asked(("1/",)))
    strong = answer.etag.removeprefix("W/")
    assert answer.known_to(answer.etag)
    assert answer.known_to(strong)
    assert answer.known_to(f'"x", {answer.etag}')
    assert answer.known_to("*")
    assert not answer.known_to("")
    assert not answer.known_to('W/"x"')


def test_ages_are_no_content_wherever_they_stand() -> None:
    young = {"as_of": 1, "rain": {"age_s": 1, "mm": 2}, "steps": [{"age_s": 1}]}
    old = {"as_of": 2, "rain": {"age_s": 9, "mm": 2}, "steps": [{"age_s": 9}]}
    assert etag_of(young) == etag_of(old) != etag_of(young | {"rain": {"mm": 3}})
