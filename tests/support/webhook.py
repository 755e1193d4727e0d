"""The owner's webhook: an HTTP server that keeps what is posted to it, and answers as the test says.

    with Webhook() as webhook:
        webhook.scripts[request] = [500, None]   # an error, then no answer at all, then `default`
        …
        assert webhook.tries(request) == [500, None, 200]
"""

import collections
import http.server
import json
import threading
import time

SILENCE_SECONDS = 4  # longer than whoever posts is set to wait

Post = collections.namedtuple("Post", "request status body headers")


class Webhook:
    """`answer(request)` may be replaced, to hold an answer back."""

    def __init__(self):
        self.posts = []
        self.scripts = collections.defaultdict(list)  # by request id; None: no answer
        self.default = 200
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                webhook.answer(self)

            def log_message(self, *_arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        identity = body["request_id"]
        assert request.headers["Idempotency-Key"] == identity
        status = self.scripts[identity].pop(0) if self.scripts[identity] else self.default
        self.posts.append(Post(identity, status, body, request.headers))
        if status is None:
            time.sleep(SILENCE_SECONDS)
            return
        request.send_response(status)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"ok")

    def of(self, identity):
        return [post for post in self.posts if post.request == identity]

    def tries(self, identity):
        """What that one was answered, try by try."""
        return [post.status for post in self.of(identity)]

    def taken(self, identity):
        """How often it was answered with 2xx."""
        return sum(1 for status in self.tries(identity) if status and status // 100 == 2)
