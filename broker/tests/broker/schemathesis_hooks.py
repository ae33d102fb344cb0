"""What schemathesis must know of the broker to get further than its front door, and what no reply may hold.

Loaded by `schemathesis.rs`, which says by environment where things are: names that exist instead of random ones, descriptions that
can be read instead of random text, so that a good part of the random bodies reaches what lies behind the checks.
"""

import json
import os
import zlib

import schemathesis

GIVEN = json.loads(os.environ["WALDO_GIVEN"])
OTHERS = GIVEN["others"]
SESSIONS, KEYS, VIEWERS = [], [], []

# Words that only the inside of a program would say.
INSIDE = ["panicked", "RUST_BACKTRACE", ".rs:", "sqlx", "SQLITE", "sqlite", "$argon2", "key_hash", "/src/", "Internal error"]

# What may be unavailable, and says so in a sentence.
UNAVAILABLE = ["Cloudflare error: not ready", "Cloudflare error: refused: too many peers", "LiveKit backend not configured"]


def chance(case, of):
    """True for one in `of` cases: always for the same ones, so that a failure is found again."""
    said = f"{case.method} {case.path} {case.path_parameters} {case.body!r}"
    return zlib.crc32(said.encode("utf-8", "surrogatepass")) % of == 0


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path_parameters and "id" in case.path_parameters and not chance(case, 5):
        if case.path == "/api/v1/keys/{id}":
            names = KEYS
        elif case.method == "DELETE" and case.path == "/api/v1/sessions/{id}":
            names = SESSIONS
        elif case.path.endswith("bridge-datachannel") and not chance(case, 30):
            # Its operators are never connected, and each bridge waits for that.
            names = []
        else:
            names = [GIVEN["session"]]
        if names:
            case.path_parameters["id"] = names.pop() if names in (KEYS, SESSIONS) else names[-1]
    if case.path_parameters and "peer" in case.path_parameters and VIEWERS and not chance(case, 4):
        case.path_parameters["peer"] = VIEWERS[-1]
    if isinstance(case.body, dict):
        for name in ("sdp_offer", "sdp_answer"):
            text = case.body.get(name)
            if isinstance(text, str) and not chance(case, 3):
                offer = GIVEN["robot_offer" if case.path == "/api/v1/sessions" else "operator_offer"]
                if chance(case, 2):
                    # As it is, but for a piece of the random text somewhere in it.
                    at = zlib.crc32(text.encode("utf-8", "surrogatepass")) % len(offer)
                    offer = offer[:at] + text + offer[at + len(text) :]
                case.body[name] = offer
        if isinstance(case.body.get("password"), str) and chance(case, 4):
            case.body.update(GIVEN["account"])
    if chance(case, 16):
        case.headers["Authorization"] = "Bearer " + GIVEN["expired"]
        case.headers["X-Robot-API-Key"] = GIVEN["revoked"]


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code not in (200, 201) or case.method != "POST":
        return
    reply = response.json()
    if case.path == "/api/v1/sessions":
        SESSIONS.append(reply["session_id"])
    elif case.path == "/api/v1/keys":
        KEYS.append(reply["id"])
    elif reply.get("role") == "viewer":
        VIEWERS.append(reply["cf_session_id"])


@schemathesis.check
def nothing_breaks_or_leaks(ctx, response, case):
    text = response.content.decode("utf-8", "replace")
    if response.status_code >= 500:
        known = response.status_code in (502, 503) and any(word in text for word in UNAVAILABLE)
        assert known, f"{response.status_code}: {text[:300]}"
    for word in INSIDE + OTHERS:
        assert word not in text, f"the reply holds {word!r}: {text[:300]}"
    for name in ("X-Frame-Options", "X-Content-Type-Options"):
        assert response.headers.get(name.lower()), f"the reply has no {name}"
