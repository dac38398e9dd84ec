"""Submits a mail by SMTP, with Python's standard library alone.

  POSTLANE_SMTP=mail.example.com:587 POSTLANE_USER=erp POSTLANE_PASSWORD=... python3 submit.py you@example.net
"""
import os
import smtplib
import ssl
import sys
import time
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from email.utils import formatdate, make_msgid

HOST, _, PORT = os.environ.get("POSTLANE_SMTP", "127.0.0.1:587").rpartition(":")
USER = os.environ["POSTLANE_USER"]
PASSWORD = os.environ["POSTLANE_PASSWORD"]
TRIES = 5


def submit(mail, recipients):
    """A repetition has the same octets: with its Message-ID it is the same message for ten minutes."""
    tls = ssl.create_default_context(cafile=os.environ.get("POSTLANE_CA"))
    octets = mail.as_bytes(policy=CRLF)
    for attempt in range(TRIES):
        try:
            with smtplib.SMTP(HOST, int(PORT), timeout=60) as server:
                server.starttls(context=tls)
                server.login(USER, PASSWORD)
                return server.sendmail("sales@example.com", recipients, octets)
        except ssl.SSLCertVerificationError:
            raise
        except smtplib.SMTPRecipientsRefused as error:
            if attempt == TRIES - 1 or any(code >= 500 for code, _ in error.recipients.values()):
                raise
        except smtplib.SMTPResponseException as error:
            # 5yz is the last word; 4yz and a lost connection are not.
            if error.smtp_code >= 500 or attempt == TRIES - 1:
                raise
        except (OSError, smtplib.SMTPServerDisconnected):
            if attempt == TRIES - 1:
                raise
        time.sleep(2**attempt)


recipients = sys.argv[1:] or ["you@example.net"]
mail = EmailMessage()
mail["From"] = "Sales <sales@example.com>"
mail["To"] = ", ".join(recipients)
mail["Subject"] = "Größe und Farbe"
mail["Date"] = formatdate()
mail["Message-ID"] = os.environ.get("MESSAGE_ID") or make_msgid(domain="example.com")
mail.set_content("Good to have you here.")
mail.add_alternative("<p>Good to have you <b>here</b>.</p>", subtype="html")

try:
    refused = submit(mail, recipients)
    for address, (code, reply) in refused.items():
        print("refused", address, code, reply.decode(errors="replace"), file=sys.stderr)
    print("submitted", mail["Message-ID"])
    sys.exit(1 if refused else 0)
except (OSError, smtplib.SMTPException) as error:
    sys.exit("not submitted: %s" % error)
