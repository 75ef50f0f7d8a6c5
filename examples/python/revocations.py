"""
Follows the revocation feed of Doorward, so that a service which checks tokens offline refuses those of a signed-out user
within two seconds. The standard library of Python 3.9 or later is all that it needs.

    revocations = Revocations("https://auth.example.com/revocations")
    revocations.start()
    ...
    claims = verify_access_token(token)  # by a JWT library: this module checks no signature
    if revocations.is_revoked(claims, kid):
        ...  # answer 401
"""

import base64
import hashlib
import json
import math
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

MOST_BYTES = 64 * 1024 * 1024
MOST_PAGES = 100
MOST_WINDOW = 7 * 86400
PIECE_BYTES = 64 * 1024
FORGET_EVERY = 60
MOST_PATIENCE = 60


class Revocations:
    """One for each process, for all of its threads. Where processes are forked, start it in each of them."""

    def __init__(self, url, every=1.0, timeout=5.0, authorization=None, clock=time.monotonic):
        """`authorization` is for Doorwards with REVOCATIONS=clients: "Basic …" of a service client."""
        self._url, self._every, self._timeout, self._clock = url, every, timeout, clock
        self._headers = {"Accept": "application/json"}
        if authorization is not None:
            self._headers["Authorization"] = authorization
        self._open = urllib.request.build_opener(_NoRedirects).open
        self._held = _Held()
        self._complete_until = -math.inf
        self._forget_at = clock() + FORGET_EVERY
        self.last_error = None

    def start(self):
        threading.Thread(target=self._run, name="revocations", daemon=True).start()

    def lag(self):
        """
        For how many seconds nothing is known; it grows while Doorward is away. Infinite before the first answer, and for the
        window after one that leaves out the oldest.
        """
        now = self._clock()
        return math.inf if now < self._held.lacks_until else now - self._complete_until

    def is_revoked(self, claims, kid=None):
        """Whether a token with these verified claims, signed by this key, is void."""
        find = self._held.find
        if find("keys", kid) or find("tokens", _hash(claims["jti"])):
            return True
        if "sid" in claims:  # a user's token
            least_version = find("users", _hash(claims["sub"])) or 0
            if find("sessions", _hash(claims["sid"])) or claims.get("cv", 0) < least_version:
                return True
        void_until = find("clients", _hash(claims["client_id"]))
        return void_until is not None and claims["iat"] <= void_until

    def poll(self):
        """Asks for what is new, and for all of it. Raises when that fails; what was known before stays."""
        try:
            self._ask_for_all()
        except Exception as error:
            if not isinstance(error, OSError) or getattr(error, "code", None) == 400:
                self._held.cursor = None  # begin anew: what comes after it is of no use, or the server cannot read it
            raise

    def _ask_for_all(self):
        held, bytes_left = self._held, MOST_BYTES
        for _ in range(MOST_PAGES):
            began = self._clock()
            body, age_in_caches = self._ask(held.cursor, bytes_left)
            bytes_left -= len(body)
            part = json.loads(body)
            if part["from"] is None:
                held = _Held()  # built beside, so that what is revoked stays revoked meanwhile
            elif part["from"] != held.cursor:
                raise ValueError("the feed has answered another question")
            held.add(part, self._clock())
            if part.get("more") is not True:
                break
        else:
            raise ValueError("the feed has no end")
        self._held = held
        self._complete_until = began - part["age"] - age_in_caches
        if began >= self._forget_at:
            held.forget(began)
            self._forget_at = began + FORGET_EVERY

    def _ask(self, cursor, most_bytes):
        url = self._url if cursor is None else f"{self._url}?after={urllib.parse.quote(cursor)}"
        until = self._clock() + self._timeout  # of the whole answer: the other timeout is for each of its pieces
        body = bytearray()
        with self._open(urllib.request.Request(url, headers=self._headers), timeout=self._timeout) as response:
            while piece := response.read1(PIECE_BYTES):
                body += piece
                if len(body) > most_bytes:
                    raise ValueError("the feed is too long")
                if self._clock() > until:
                    raise TimeoutError("the feed is too slow")
            return body, _seconds(response.headers.get("Age"))

    def _run(self):
        while True:
            pause = self._every
            try:
                self.poll()
                self.last_error = None
            except Exception as error:  # the thread must live on, whatever it was; lag() tells for how long it goes wrong
                self.last_error = error
                pause = max(pause, _pause_after(error))
            time.sleep(pause)


class _Held:
    """What is revoked: by kind, under a hash its value, and when it may be forgotten. One thread writes, others read."""

    def __init__(self):
        self.cursor = None
        self.lacks_until = -math.inf
        self._kinds = {kind: {} for kind in ("sessions", "tokens", "users", "clients", "keys")}

    def find(self, kind, key):
        return self._kinds[kind].get(key, (None, 0))[0]

    def add(self, part, now):
        """All of a part, or nothing if it is not as it must be."""
        cursor, until = part["cursor"], now + _integer(part["window"], MOST_WINDOW)
        entries = [("keys", kid, 1) for kid in part["keys"]]
        for kind in ("sessions", "tokens"):
            entries += [(kind, each, 1) for each in _hashes(part[kind])]
        for kind in ("users", "clients"):
            for text, value in part[kind]:
                (each,) = _hashes(text)
                entries.append((kind, each, _integer(value, 2**32)))
        if not part["age"] >= 0:  # nor NaN, which Python takes for JSON
            raise ValueError("the feed has something else for an age")
        for kind, key, value in entries:
            self._kinds[kind][key] = (max(value, self.find(kind, key) or 0), until)
        if part["from"] is None and part.get("overflow") is True:
            self.lacks_until = until  # this is the newest part, and nothing is known of the rest
        self.cursor = cursor

    def forget(self, now):
        for held in self._kinds.values():
            for key in [key for key, (_, until) in held.items() if until <= now]:
                del held[key]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None  # credentials are for the one address


def _pause_after(error):
    """What Retry-After asks for, within reason. With jitter, or all would come back at once, but never earlier than asked."""
    asked = _seconds(error.headers.get("Retry-After")) if isinstance(error, urllib.error.HTTPError) else 0
    return min(asked, MOST_PATIENCE) * (1 + random.random() / 4)


def _seconds(header):
    """0 for anything but a number. A date would compare two clocks."""
    return float(header) if header is not None and header.isdecimal() else 0


def _hash(text):
    return hashlib.sha256(text.encode()).digest()[:8]


def _hashes(base64url):
    joined = base64.b64decode(base64url + "=" * (-len(base64url) % 4), altchars="-_", validate=True)
    if len(joined) % 8 > 0:
        raise ValueError("the feed has something else for hashes")
    return [joined[at : at + 8] for at in range(0, len(joined), 8)]


def _integer(value, most):
    if type(value) is not int or not 0 < value <= most:
        raise ValueError("the feed has something else for a number")
    return value
