/** Reports that are text alone, of mail providers, groupware and gateways. */
import { sent, text, type Case } from './case.ts';

export const asTextToo: readonly Case[] = [
  text(
    'Google Groups in another language, where only the header names the recipient',
    'Mail Delivery Subsystem <mailer-daemon@googlemail.test>',
    'Delivery Status Notification (Failure)',
    `Hallo shop@shop.test,

leider existiert die Gruppe nicht.

----- Original message -----

X-Received: by a
Message-ID: <sent-1@shop.test>
To: anna@example.net
`,
    [['anna@example.net', 'failed', null, null, null, '']],
    { header: 'X-Failed-Recipients: anna@example.net\nAuto-Submitted: auto-replied\n' },
  ),
  text(
    'Exchange Online without a status part, in any language',
    '<postmaster@example.net>',
    'Unzustellbar: Hallo',
    `--n
Content-Type: text/plain; charset="utf-8"

Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:

anna@example.net<mailto:anna@example.net>
Die von Ihnen eingegebene E-Mail-Adresse wurde nicht gefunden.

Diagnoseinformationen für Administratoren:

Generierender Server: A.prod.outlook.test

anna@example.net
Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found'

Ursprüngliche Nachrichtenkopfzeilen:

Received: from a by b; Mon, 2 Mar 2026 09:00:00 +0000
Message-ID: <sent-1@shop.test>
To: anna@example.net

--n
Content-Type: text/html

<p>x</p>
--n--
`,
    [
      [
        'anna@example.net',
        'failed',
        '5.1.10',
        '550',
        true,
        '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found',
      ],
    ],
    { header: 'Content-Type: multipart/report; report-type=delivery-status; boundary=n\nMIME-Version: 1.0\n' },
  ),
  text(
    'Exchange 5.5',
    'System Administrator <postmaster@example.net>',
    'Undeliverable: Hello',
    `--n
Content-Type: text/plain

Your message

  To:      Anna
  Subject: Hello
  Sent:    Mon, 2 Mar 2026 09:00:00 -0000

did not reach the following recipient(s):

ANNA@EXAMPLE.NET on Mon, 2 Mar 2026 09:00:10 -0000
    The recipient name is not recognized
	The MTS-ID of the original message is: c=us;a= ;p=x;l=Y

--n
Content-Type: message/rfc822

Message-ID: <sent-1@shop.test>
To: Anna <anna@example.net>

Hello
--n--
`,
    [['anna@example.net', 'failed', null, null, true, 'The recipient name is not recognized']],
    { header: 'Content-Type: multipart/mixed; boundary=n\nMIME-Version: 1.0\n' },
  ),
  text(
    'Exchange 2003',
    'postmaster@example.net',
    'Delivery Status Notification (Failure)',
    `Your message did not reach some or all of the intended recipients.

      Subject:	Hello
      Sent:	3/2/2026 9:00 AM

The following recipient(s) could not be reached:

      anna@example.net on 3/2/2026 9:01 AM
            The e-mail account does not exist at the organization this message was sent to.
            <mx.example.net #5.1.1>
`,
    [['anna@example.net', 'failed', '5.1.1', null, true, 'does not exist']],
    { messageId: null },
  ),
  text(
    'GroupWise',
    'Mailer-Daemon@gw.test',
    'Message status - undeliverable',
    `The message that you sent was undeliverable to the following:

	anna@example.net (user not found)
	ben@example.net (mailbox is full)
`,
    [
      ['anna@example.net', 'failed', null, null, true, 'user not found'],
      ['ben@example.net', 'failed', null, null, null, 'mailbox is full'],
    ],
    { messageId: null },
  ),
  text(
    'IMail, with the reason before the address',
    '"Postmaster" <postmaster@example.net>',
    'Undeliverable Mail',
    `User mailbox exceeds allowed size: anna@example.net

Original message follows.

${sent}`,
    [['anna@example.net', 'failed', null, null, null, 'User mailbox exceeds allowed size']],
  ),
  text(
    'MDaemon',
    'MDaemon@example.net',
    'Warning: anna@example.net - User unknown!',
    `anna@example.net - no such user here.

There is no user by that name at this server.
`,
    [['anna@example.net', 'failed', null, null, true, 'no such user here']],
    { messageId: null },
  ),
  text(
    'HTML alone, with two Message-IDs in the returned mail',
    'MAILER-DAEMON@mx.test',
    'failure notice',
    `--n
Content-Type: text/html

<html><head><style>p{}</style></head>I'm afraid I wasn't able to deliver your message to the following addresses.<br>
This is a permanent error; I've given up.<br><br>

anna@example.net<br>

No such user<br>

--- Attachment is a copy of the message.<br>
--n
Content-Type: message/rfc822

Message-ID: <gateway@mx.test>
Received: from a by b
Message-ID: <sent-1@shop.test>
To: anna@example.net

x
--n--
`,
    [['anna@example.net', 'failed', null, null, true, 'No such user']],
    { header: 'Content-Type: multipart/mixed; boundary=n\n' },
  ),
  text(
    'Zoho: address, words and codes in one line',
    'mailer-daemon@mail.zoho.test',
    'Undelivered Mail Returned to Sender',
    `This message was created automatically by mail delivery software.
 A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

anna@example.net Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <anna@example.net>... User Unknown

Received:from mail.zoho.test by mx.zoho.test
Message-ID:<sent-1@shop.test>
`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, 'Invalid Address']],
  ),
  text(
    'Domino as text',
    'Postmaster@example.net',
    'DELIVERY FAILURE: User anna not listed in Domino Directory',
    `Your message

  Subject: Hello

was not delivered to:

  anna@example.net

because:

  User anna (anna@example.net) not listed in Domino Directory

`,
    [['anna@example.net', 'failed', null, null, true, 'not listed in Domino Directory']],
    { messageId: null },
  ),
  text(
    'the recipient below the reason',
    'postmaster@mx.test',
    'Mail could not be delivered',
    `-------server message
550 5.1.1 unknown user <anna@example.net>
-------unsent recipient
anna@example.net
-------original mail info
Received: from a by b
Message-ID: <sent-1@shop.test>
To: anna@example.net
`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, '550 5.1.1 unknown user']],
  ),
  text(
    'a sentence that names the recipient',
    'MAILER-DAEMON@mx.test',
    'Undeliverable message',
    `Unable to deliver message to: <anna@example.net>
Delivery failed for the following reason:
Server mx.example.net[192.0.2.7] failed with: 550 <anna@example.net> No such user here

This has been a permanent failure. No further delivery attempts will be made.
`,
    [['anna@example.net', 'failed', null, '550', true, 'No such user here']],
    { messageId: null },
  ),
  text(
    'the fields of a status in the text (WorkMail)',
    'postmaster@eu-west-1.test',
    'Undeliverable: Hello',
    `Technical report:

Reporting-MTA: dns; a.smtp-out.test
Final-Recipient: rfc822; anna@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <anna@example.net>: not there

Message-ID: <sent-1@shop.test>
`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, 'not there']],
  ),
  text(
    'a whole report within the text of another',
    'MAILER-DAEMON@outer.test',
    'Undelivered Mail Returned to Sender',
    `The message below could not be delivered to one or more destinations.
For assistance, contact <support@outer.test>

---------------------------------
From MAILER-DAEMON  Mon Mar  2 09:00:00 2026
Return-Path: <>
From: MAILER-DAEMON@inner.test (Mail Delivery System)
To: shop@shop.test
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="in"
Message-Id: <inner-report@inner.test>

--in
Content-Type: text/plain

<box@inner.test> (expanded from <anna@example.net>): 421 closed
--in
Content-Type: message/delivery-status

Reporting-MTA: dns; inner.test

Final-Recipient: rfc822; box@inner.test
Original-Recipient: rfc822; anna@example.net
Action: failed
Status: 4.0.0
Diagnostic-Code: X-Postfix; server refused to talk to me: 421 closed

--in
Content-Type: message/rfc822

${sent}
--in--
`,
    [['anna@example.net', 'failed', '4.0.0', '421', false, '421 closed']],
  ),
];
