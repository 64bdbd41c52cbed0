"""Words go out in Chinese and English: nobody is entered with another language, and who was is told in Chinese."""

import psycopg
import pytest

from tests.conftest import OldCity

PERSON = """
INSERT INTO officers_officer (name, phone_digest, sealed_phone, masked_phone, language, is_active, synthetic)
VALUES ('x', %(language)s, '', '', %(language)s, true, true)
"""


def test_other_languages_of_an_older_version_become_chinese(old_city: OldCity) -> None:
    city, migrate = old_city
    migrate("officers", "0008")
    for language in ("zh", "en", "fr"):
        city.execute(PERSON, {"language": language})
    migrate("officers", "0009")
    rows = city.execute("SELECT phone_digest, language FROM officers_officer ORDER BY id").fetchall()
    assert rows == [("zh", "zh"), ("en", "en"), ("fr", "zh")]
    with pytest.raises(psycopg.errors.CheckViolation):
        city.execute(PERSON, {"language": "de"})
