"""
Tells what examples/python/revocations.py says of a token: of the feed at argv[2], on port argv[1]. Its clock goes on by ten
minutes at each SIGHUP, and long pauses are told but not waited for. argv[3] may be credentials.
"""

import base64
import itertools
import json
import math
import random
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, "examples/python")
from revocations import Revocations

pauses = []
sleep = time.sleep
draws = itertools.cycle([0, 0.5])


def pause(seconds):
    pauses.append(seconds)
    sleep(seconds if seconds <= 1 else 0.05)


time.sleep = pause
random.random = lambda: next(draws)
shifts = []
signal.signal(signal.SIGHUP, lambda *_: shifts.append(601))
authorization = sys.argv[3] if len(sys.argv) > 3 else None
revocations = Revocations(
    sys.argv[2], every=0.25, authorization=authorization, clock=lambda: time.monotonic() + sum(shifts)
)


def part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=="))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        header, claims, _ = self.headers["Authorization"][len("Bearer ") :].split(".")
        lag = revocations.lag()
        answer = {
            "revoked": revocations.is_revoked(part(claims), part(header).get("kid")),
            "lag": None if math.isinf(lag) else lag,
            "error": revocations.last_error and str(revocations.last_error),
            "pauses": sorted(pauses[-2:]),
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


revocations.start()
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
