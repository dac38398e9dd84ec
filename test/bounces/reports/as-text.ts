/** Reports that are text alone, of the common mail transfer agents. */
import { sent, text, type Case } from './case.ts';

const daemon = 'Mail Delivery System <MAILER-DAEMON@mx.test>';
export const asText: readonly Case[] = [
  text(
    'qmail',
    'MAILER-DAEMON@mx.test',
    'failure notice',
    `Hi. This is the qmail-send program at mx.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<anna@example.net>:
192.0.2.7 does not like recipient.
Remote host said: 550 5.1.1 <anna@example.net>: unknown
Giving up on 192.0.2.7.

<ben@example.net>:
Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)
I'm not going to try again; this message has been in the queue too long.

--- Below this line is a copy of the message.

Return-Path: <shop@shop.test>
${sent}`,
    [
      ['anna@example.net', 'failed', '5.1.1', '550', true, '550 5.1.1'],
      ['ben@example.net', 'failed', '4.4.1', null, false, 'establish an SMTP connection'],
    ],
  ),
  text(
    'qmail without a code',
    'MAILER-DAEMON@mx.test',
    'failure notice',
    `Hi. This is the qmail-send program at mx.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<anna@example.net>:
The account is asleep.

--- Below this line is a copy of the message.

${sent}`,
    [['anna@example.net', 'failed', null, null, true, 'The account is asleep.']],
  ),
  text(
    'Exim',
    'Mail Delivery System <Mailer-Daemon@mx.test>',
    'Mail delivery failed: returning message to sender',
    `This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  anna@example.net
    SMTP error from remote mail server after RCPT TO:<anna@example.net>:
    host mx.example.net [192.0.2.7]: 550 5.1.1 <anna@example.net>:
    Recipient address rejected
  ben@example.net
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

${sent}`,
    [
      ['anna@example.net', 'failed', '5.1.1', '550', true, 'Recipient address rejected'],
      ['ben@example.net', 'failed', null, null, true, 'Unrouteable address'],
    ],
    { header: 'X-Failed-Recipients: anna@example.net,\n  ben@example.net\nAuto-Submitted: auto-replied\n' },
  ),
  text(
    'Exim, for another sender, with the address before it was forwarded',
    'Mail Delivery System <Mailer-Daemon@mx.test>',
    'Mail delivery failed',
    `This message was created automatically by mail delivery software.

A message sent by

  <bounces@shop.test>

could not be delivered to one or more of its recipients. The following
address(es) failed:

  a.new@else.test
    (ultimately generated from anna@example.net)
    retry timeout exceeded

------ This is a copy of the message, including all the headers. ------

${sent}`,
    [['anna@example.net', 'failed', null, null, null, 'retry timeout exceeded']],
    { header: 'X-Failed-Recipients: a.new@else.test\n' },
  ),
  text(
    'Exim, a delay',
    'Mail Delivery System <Mailer-Daemon@mx.test>',
    'Warning: message 1abCde-000Xyz-Fg delayed 24 hours',
    `This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.test.

The message identifier is:     1abCde-000Xyz-Fg
The date of the message is:    Sun, 1 Mar 2026 09:00:00 +0000

The address to which the message has not yet been delivered is:

  anna@example.net
    host mx.example.net [192.0.2.7]
    Delay reason: SMTP error from remote mail server after RCPT TO:<anna@example.net>:
    451 4.7.1 Greylisted

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered. Eventually the mail delivery software will give up,
and when that happens, the message will be returned to you.
`,
    [['anna@example.net', 'delayed', '4.7.1', '451', false, 'Greylisted']],
    { kind: 'delay', messageId: null },
  ),
  text(
    'GMX',
    '"GMX Mailer Daemon" <mailer-daemon@gmx.test>',
    'Mail delivery failed: returning message to sender',
    `This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of
its recipients. This is a permanent error. The following address(es)
failed:

anna@example.net:
SMTP error from remote server for RCPT TO command, host: mx.example.net (192.0.2.7) reason: 552 5.2.2 Mailbox
 full

--- The header of the original message is following. ---

${sent}`,
    [['anna@example.net', 'failed', '5.2.2', '552', true, 'Mailbox full']],
  ),
  text(
    'Sendmail before delivery reports',
    'Mail Delivery Subsystem <MAILER-DAEMON@mx.test>',
    'Returned mail: see transcript for details',
    `The original message was received at Mon, 2 Mar 2026 09:00:00 GMT
from out.shop.test [192.0.2.1]

   ----- The following addresses had permanent fatal errors -----
<anna@example.net>
    (reason: 550 5.1.1 <anna@example.net>... User unknown)
<box@inner.test>
    (reason: 552 5.2.2 full)
    (expanded from: <ben@example.net>)

   ----- Transcript of session follows -----
... while talking to mx.example.net.:
>>> DATA
<<< 550 5.1.1 <anna@example.net>... User unknown
550 5.1.1 <anna@example.net>... User unknown

   ----- Message header follows -----

${sent}`,
    [
      ['anna@example.net', 'failed', '5.1.1', '550', true, 'User unknown'],
      ['ben@example.net', 'failed', '5.2.2', '552', true, 'full'],
    ],
  ),
  text(
    'Sendmail, with the reason in the transcript alone',
    'Mail Delivery Subsystem <MAILER-DAEMON@mx.test>',
    'Returned mail: Service unavailable',
    `   ----- The following addresses had permanent fatal errors -----
anna@example.net

   ----- Transcript of session follows -----
... while talking to mx.example.net.:
>>> MAIL From:<shop@shop.test>
<<< 553 not from here
501 anna@example.net... Data format error

   ----- Original message follows -----

${sent}`,
    [['anna@example.net', 'failed', null, '553', true, '553 not from here']],
  ),
  text(
    'Sendmail, with a transcript and no list',
    'Mail Delivery Subsystem <MAILER-DAEMON@mx.test>',
    'Returned mail: User unknown',
    `   ----- Transcript of session follows -----
>>> RCPT To:<anna@example.net>
<<< 550 no such user here
550 <anna@example.net>... User unknown

   ----- Unsent message follows -----
${sent}`,
    [['anna@example.net', 'failed', null, '550', true, '550']],
  ),
  text(
    'Sendmail, a delay',
    'Mail Delivery Subsystem <MAILER-DAEMON@mx.test>',
    'Warning: could not send message for past 4 hours',
    `    **********************************************
    **      THIS IS A WARNING MESSAGE ONLY      **
    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **
    **********************************************

   ----- The following addresses had transient non-fatal errors -----
<anna@example.net>

   ----- Transcript of session follows -----
<anna@example.net>... Deferred: Connection timed out with mx.example.net.
Warning: message still undelivered after 4 hours
Will keep trying until message is 5 days old

   ----- Message header follows -----
${sent}`,
    [['anna@example.net', 'delayed', null, null, false, 'Connection timed out']],
    { kind: 'delay' },
  ),
  text(
    'Postfix as text',
    daemon,
    'Undelivered Mail Returned to Sender',
    `This is the mail system at host mx.test.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to <postmaster@mx.test>

                   The mail system

<anna@example.net>: host mx.example.net[192.0.2.7] said: 550 5.1.1
    <anna@example.net>: User unknown (in reply to RCPT TO command)

<box@inner.test> (expanded from <ben@example.net>): mail for inner.test loops
    back to myself

${sent}`,
    [
      ['anna@example.net', 'failed', '5.1.1', '550', true, 'User unknown'],
      ['ben@example.net', 'failed', null, null, null, 'loops back to myself'],
    ],
  ),
  text(
    'Yahoo before delivery reports',
    'MAILER-DAEMON@mail.yahoo.test',
    'Failure Notice',
    `Sorry, we were unable to deliver your message to the following address.

<anna@example.net>:
552: 5.2.2 Mailbox is full

--- Below this line is a copy of the message.

${sent}`,
    [['anna@example.net', 'failed', '5.2.2', '552', true, 'Mailbox is full']],
  ),
  text(
    'Gmail before delivery reports, in quoted-printable that breaks the Message-ID',
    'Mail Delivery Subsystem <mailer-daemon@googlemail.test>',
    'Delivery Status Notification (Failure)',
    `Delivery to the following recipient failed permanently:

     anna@example.net

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server. The=
 error that the other server returned was: 550 550 5.1.1 User unknown (state=
 14).

----- Original message -----

MIME-Version: 1.0
Message-ID: <sent-1@sh=
op.test>
Subject: =3D?UTF-8?Q?x?=3D
To: anna@example.net
`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, 'User unknown']],
    { header: 'Content-Type: text/plain; charset=ISO-8859-1\nContent-Transfer-Encoding: quoted-printable\n' },
  ),
];
