"""Who is asking: tokens of the desk's own, and those of a real OpenID provider on this machine."""

import http.server
import json
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from oidc_provider_mock import User, run_server_in_thread

from app.auth import OWN, VALID_S, Auth, NotSignedIn
from app.store.people import Role
from tests import desks

CLIENT, HERE = "medomni", "http://localhost:1/callback"
PEOPLE = (
    User(sub="rossi", claims={"roles": ["radiologist", "staff"], "name": "Dr. Ana Rossi"}),
    User(sub="ken", claims={"roles": "resident", "preferred_username": "ken"}),
    User(sub="guest", claims={"roles": ["visitor"]}),
    User(sub="nothing", claims={}),
    User(sub="objects", claims={"roles": [{"name": "radiologist"}]}),
    User(sub="machine", claims={"roles": ["machine"]}),
    User(sub="rtl", claims={"roles": ["resident"], "name": "A\u202e\x00B"}),
)


@pytest.fixture(scope="module")
def issuer():
    """The address of an OpenID provider that knows ``PEOPLE``."""
    with run_server_in_thread(user_claims=PEOPLE) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def auth(tmp_path, issuer):
    return at(tmp_path, issuer)


def at(home, issuer, **changes):
    """The sign-in of a desk that trusts an issuer."""
    return Auth(desks.desk(home, oidc_issuer=issuer, oidc_client=CLIENT, **changes))


def id_token(issuer, sub, client=CLIENT):
    """The ID token that the provider gives after a person signed in: the authorization code flow, step by step."""
    asked = {"client_id": client, "redirect_uri": HERE, "response_type": "code", "scope": "openid profile", "state": "x"}
    went = httpx2.post(f"{issuer}/oauth2/authorize?{urlencode(asked)}", data={"sub": sub})
    code = parse_qs(urlsplit(went.headers["location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": HERE}
    return httpx2.post(f"{issuer}/oauth2/token", data=form, auth=(client, "s")).json()["id_token"]


def asks(auth, token):
    return auth.person(f"Bearer {token}")


@pytest.mark.parametrize(
    ("sub", "role", "name"),
    [("rossi", Role.RADIOLOGIST, "Dr. Ana Rossi"), ("ken", Role.RESIDENT, "ken"), ("rtl", Role.RESIDENT, "AB")],
)
def test_a_token_of_the_provider_is_a_person_with_the_role_of_its_claim(auth, issuer, sub, role, name):
    person = asks(auth, id_token(issuer, sub))
    assert (person.role, person.name) == (role, name)
    assert asks(auth, id_token(issuer, sub)).id == person.id


@pytest.mark.parametrize("sub", ["guest", "nothing", "objects", "machine"])
def test_who_has_no_role_here_is_refused(auth, issuer, sub):
    with pytest.raises(NotSignedIn, match="no role"):
        asks(auth, id_token(issuer, sub))


def test_another_claim_may_hold_the_role(tmp_path, issuer):
    with pytest.raises(NotSignedIn, match="no role"):
        asks(at(tmp_path, issuer, oidc_role_claim="groups"), id_token(issuer, "rossi"))


def test_a_token_for_another_client_is_refused(auth, issuer):
    with pytest.raises(NotSignedIn, match="does not hold"):
        asks(auth, id_token(issuer, "rossi", "another"))


def test_a_token_of_another_provider_is_refused(auth):
    with run_server_in_thread(user_claims=PEOPLE) as other, pytest.raises(NotSignedIn, match="unknown issuer"):
        asks(auth, id_token(f"http://localhost:{other.server_port}", "rossi"))


def test_a_desk_without_sign_in_takes_no_token_of_a_provider(tmp_path, issuer):
    with pytest.raises(NotSignedIn, match="unknown issuer"):
        asks(Auth(desks.desk(tmp_path)), id_token(issuer, "rossi"))


def test_a_token_that_has_ended_is_refused(tmp_path):
    with run_server_in_thread(user_claims=PEOPLE, access_token_max_age=timedelta(seconds=-60)) as server:
        issuer = f"http://localhost:{server.server_port}"
        with pytest.raises(NotSignedIn, match="does not hold"):
            asks(at(tmp_path, issuer), id_token(issuer, "rossi"))


def test_a_token_whose_claims_were_changed_is_refused(auth, issuer):
    head, _, signature = id_token(issuer, "guest").split(".")
    _, claims, _ = id_token(issuer, "rossi").split(".")
    with pytest.raises(NotSignedIn):
        asks(auth, f"{head}.{claims}.{signature}")


@contextmanager
def provider(keys):
    """The smallest provider: its description and its keys; yields its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            here = f"http://127.0.0.1:{self.server.server_port}"
            told = keys if self.path == "/jwks" else {"issuer": here, "jwks_uri": f"{here}/jwks"}
            content = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def own_provider(key):
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    with provider({"keys": [public | {"kid": "1", "use": "sig", "alg": "RS256"}]}) as address:
        yield address


def made(issuer, key, algorithm="RS256", kid="1", **changes):
    now = int(time.time())
    claims = {"iss": issuer, "aud": CLIENT, "sub": "a", "roles": ["radiologist"], "iat": now, "exp": now + 60} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm, headers={"kid": kid})


def test_the_provider_of_these_tests_is_believed(tmp_path, own_provider, key):
    assert asks(at(tmp_path, own_provider), made(own_provider, key)).role is Role.RADIOLOGIST


@pytest.mark.parametrize(
    "changes",
    [{"exp": None}, {"aud": None}, {"sub": None}, {"nbf": 4_102_444_800}, {"aud": ["x"]}, {"kid": "2"}],
    ids=["endless", "for nobody", "of nobody", "not yet", "other audience", "unknown key"],
)
def test_a_token_without_what_it_needs_is_refused(tmp_path, own_provider, key, changes):
    with pytest.raises(NotSignedIn):
        asks(at(tmp_path, own_provider), made(own_provider, key, **changes))


def test_a_key_that_the_provider_does_not_have_is_refused(tmp_path, own_provider):
    forged = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(NotSignedIn):
        asks(at(tmp_path, own_provider), made(own_provider, forged))


@pytest.mark.parametrize(("secret", "algorithm"), [("k" * 64, "HS256"), (None, "none")])
def test_a_weaker_signature_is_refused(tmp_path, own_provider, secret, algorithm):
    with pytest.raises(NotSignedIn):
        asks(at(tmp_path, own_provider), made(own_provider, secret, algorithm))


def test_a_provider_that_does_not_answer_is_told_in_words(tmp_path, key):
    with provider({"keys": []}) as address:
        pass
    with pytest.raises(NotSignedIn, match="does not answer"):
        asks(at(tmp_path, address), made(address, key))


def test_two_people_of_a_provider_with_a_long_address_are_two(tmp_path):
    auth = at(tmp_path, "https://provider.example/" + "x" * 400)
    first, second = (auth.of_claims({"sub": sub, "roles": ["resident"]}) for sub in ("a", "b"))
    assert first.id != second.id
    assert auth.of_claims({"sub": "a", "roles": ["resident"]}).id == first.id


def test_a_role_that_changes_at_the_provider_changes_here(auth):
    first = auth.of_claims({"sub": "a", "name": "A", "roles": ["radiologist"]})
    second = auth.of_claims({"sub": "a", "name": "A", "roles": ["resident"]})
    assert (second.id, second.role) == (first.id, Role.RESIDENT)
    assert asks(auth, auth.token(first)).role is Role.RESIDENT


def test_a_token_of_ones_own_holds_for_a_day_and_names_nobody(auth):
    person = desks.person(auth.desk)
    claims = jwt.decode(auth.token(person), options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["sub"]) == (OWN, OWN, person.id)
    assert claims["exp"] - claims["iat"] == VALID_S
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp"}
    assert asks(auth, auth.token(person)) == person


def test_a_token_of_ones_own_holds_at_this_desk_alone(auth, tmp_path):
    other = Auth(desks.desk(tmp_path / "other"))
    with pytest.raises(NotSignedIn):
        asks(other, auth.token(desks.person(auth.desk)))
