"""What is wrong with the settings of the city's portal is said at the start, all at once."""

import pytest

from tests.backend.test_gateway_settings import said_of

WHOLE = {
    "OIDC_ISSUER": "https://portal.example/oidc",
    "OIDC_CLIENT_ID": "duty",
    "OIDC_CLIENT_SECRET": "s",
    "OIDC_REDIRECT_URI": "https://duty.example/api/v1/auth/oidc/callback",
}


def test_half_a_portal_is_refused_by_name_with_everything_else_that_is_wrong() -> None:
    said = said_of(
        OIDC_ISSUER="http://portal.example",
        OIDC_REDIRECT_URI="https://duty.example/back?x=1",
        OIDC_SCOPE="profile",
        OIDC_CA_FILE="absent.pem",
    )
    assert "belong together; missing: OIDC_CLIENT_ID, OIDC_CLIENT_SECRET" in said
    assert "OIDC_ISSUER must be an https:// address" in said
    assert "OIDC_REDIRECT_URI must be an https:// address" in said
    assert "OIDC_SCOPE is a list of words with openid among them" in said
    assert "OIDC_CA_FILE='absent.pem' is not a file" in said


@pytest.mark.parametrize(
    "changed", [{}, {"OIDC_ISSUER": "http://127.0.0.1:8", "OIDC_SCOPE": "openid profile"}]
)
def test_a_whole_portal_is_taken_and_so_is_none(changed: dict[str, str]) -> None:
    assert said_of(**WHOLE | changed) == "none\n"
    assert said_of() == "none\n"
