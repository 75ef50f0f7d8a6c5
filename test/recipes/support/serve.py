"""
Runs a page's module as a service on port argv[1]: its errors become the statuses that the page names. Its clock goes on
by half a minute at each SIGUSR2, by ten at each SIGHUP, and stands still otherwise.
"""

import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import recipe

refusal = recipe.JoseError if hasattr(recipe, "JoseError") else recipe.jwt.InvalidTokenError


started_at = time.monotonic()
shifts = []
time.monotonic = lambda: started_at + sum(shifts)
signal.signal(signal.SIGUSR2, lambda *_: shifts.append(31))
signal.signal(signal.SIGHUP, lambda *_: shifts.append(601))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return self.answer(401, {}, "Bearer")
        try:
            self.answer(200, {"cartOf": recipe.verify_access_token(token)["sub"]})
        except refusal:
            self.answer(401, {}, 'Bearer error="invalid_token"')
        except recipe.KeysOutOfReach:
            self.answer(503, {})

    def answer(self, status, body, challenge=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
