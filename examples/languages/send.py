"""Submits a message over HTTP, with Python's standard library alone.

  POSTLANE_URL=http://127.0.0.1:8025 POSTLANE_TOKEN=... python3 send.py you@example.net
"""
import base64
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("POSTLANE_URL", "http://127.0.0.1:8025")
TOKEN = os.environ["POSTLANE_TOKEN"]
TRIES = 5
LONGEST_WAIT = 600  # In seconds. If the server asks for a longer wait, the caller decides.


class Refused(Exception):
    """The server does not want this message, however often it is asked."""


def submit(message, key):
    """Gives the answer of the server. The key makes a repetition harmless: the message is sent once."""
    request = urllib.request.Request(
        URL + "/v1/messages",
        data=json.dumps(message).encode(),
        headers={
            "Authorization": "Bearer " + TOKEN,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
    )
    for attempt in range(TRIES):
        wait = 2**attempt
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = error.read().decode(errors="replace")
            # 429 and 503 say when to ask again; other answers of the class 5xx may have stored the message.
            if error.code != 429 and error.code < 500:
                raise Refused(problem) from error
            asked = error.headers.get("Retry-After", "")
            wait = int(asked) if asked.isdigit() else wait
        except (OSError, http.client.HTTPException, ValueError) as error:  # No connection, or no whole answer in time.
            problem = str(error)
        if attempt == TRIES - 1 or wait > LONGEST_WAIT:
            break
        time.sleep(wait)
    raise OSError("not submitted; call again in %d s with the key %s: %s" % (wait, key, problem))


message = {
    "from": {"name": "Sales", "address": "sales@example.com"},
    "to": sys.argv[1:] or ["you@example.net"],
    "subject": "Größe und Farbe",
    "text": "Good to have you here.",
    "html": "<p>Good to have you <b>here</b>.</p>",
    "attachments": [
        {
            "filename": "terms.txt",
            "content": base64.b64encode(b"Be kind.").decode(),
            "encoding": "base64",
        }
    ],
}

try:
    # An application takes the number of its order or invoice: after a crash it calls again with the same.
    stored = submit(message, os.environ.get("IDEMPOTENCY_KEY") or str(uuid.uuid4()))
    print(stored["id"], stored["state"], "again" if stored["duplicate"] else "new")
except (OSError, Refused) as error:
    sys.exit(str(error))
