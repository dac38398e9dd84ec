/** Reports that are damaged, or written by programs that few use. */
import { head, report, sent, text, type Case } from './case.ts';

const daemon = 'MAILER-DAEMON@mx.test';
const status =
  'Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 unknown';
const failed = ['anna@example.net', 'failed', '5.1.1', '550', true, '550 5.1.1 unknown'] as const;
const whole = report(`Reporting-MTA: dns; mx.test\n\n${status}`, sent);

export const odd: readonly Case[] = [
  {
    title: 'a boundary that does not occur: the fields of the status stand in one text',
    mail: whole.replace('boundary="b1"', 'boundary="other"'),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [failed],
  },
  {
    title: 'a boundary that does not occur, and no parts at all',
    mail: `${head('Mail Delivery Subsystem <MAILER-DAEMON@mx.test>', 'Returned mail: unknown')}Content-Type: multipart/report; report-type=delivery-status; boundary="none"

   ----- The following addresses had permanent fatal errors -----
<anna@example.net>

${status}

${sent}`,
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [failed],
  },
  {
    title: 'an empty line before the header, where a mailbox file had its line From',
    mail: `\n${whole}`,
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [failed],
  },
  {
    title: 'lines that end with CR alone',
    mail: Buffer.from(whole.replaceAll('\n', '\r')),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [failed],
  },
  text(
    'a reason in a sentence of its own, behind the recipient',
    'mailer-daemon',
    'There was an error sending your mail',
    `1 error(s):

The following recipients returned permanent errors: anna@example.net. Reason: 550 5.1.1 unknown.

${sent}`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, '550 5.1.1 unknown']],
    { header: 'Auto-Submitted: auto-replied\n' },
  ),
  {
    title: 'a type without a semicolon before its parameter',
    mail: `${head('"Mail System" <MAILER-DAEMON>', 'Returned Mail: User unknown')}Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain
   charset="iso-2022-jp"

---The following addresses had delivery errors---

anna@example.net [User unknown]

--b
Content-Type: message/rfc822

${sent}
--b--
`,
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', null, null, true, 'User unknown']],
  },
  text(
    'DragonFly: the header names the recipient, a sentence does, and the reply stands below it',
    'MAILER-DAEMON <>',
    'Mail delivery failed',
    `This is the DragonFly Mail Agent v0.13 at mx.test.

There was an error delivering your mail to <anna@example.net>.

mx.example.net [192.0.2.7] did not like our RCPT TO:
550 5.1.1 <anna@example.net>: unknown

Message headers follow.

${sent}`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, 'did not like our RCPT TO: 550 5.1.1']],
    { header: 'X-Original-To: <anna@example.net>\n' },
  ),
  text(
    'DragonFly: a host that does not exist',
    'MAILER-DAEMON <>',
    'Mail delivery failed',
    `There was an error delivering your mail to <anna@example.net>.

DNS lookup failure: host mx.example.net not found

Message headers follow.

${sent}`,
    [['anna@example.net', 'failed', null, null, true, 'DNS lookup failure']],
  ),
  text(
    'a sender who wrote to himself',
    daemon,
    'failure notice',
    `I'm afraid I wasn't able to deliver your message to the following addresses.

<shop@shop.test>:
Remote host said: 552 disk quota exceeded

--- Below this line is a copy of the message.

${sent}`,
    [['shop@shop.test', 'failed', null, '552', true, '552 disk quota exceeded']],
  ),
  text(
    'a subject that says nothing, above a text that says it',
    'System Administrator <postmaster@mx.test>',
    'E',
    `Your message

  To:      anna@example.net
  Subject: Hello

did not reach the following recipient(s):

anna@example.net on Mon, 2 Mar 2026 10:00:00 -0000
    The recipient name is not recognized

${sent}`,
    [['anna@example.net', 'failed', null, null, true, 'not recognized']],
  ),
  text(
    'a text in a language of no list, above the returned mail',
    daemon,
    'Hola',
    `<anna@example.net>:
550 5.1.1 buzón desconocido

${sent}`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, 'desconocido']],
  ),
  text(
    'Exim, for an address that it does not show',
    daemon,
    'Mail delivery failed: returning message to sender',
    `This is a permanent error. The following address(es) failed:

  an undisclosed address
    (generated from anna@example.net)

------ This is a copy of the message, including all the headers. ------

${sent}`,
    [['anna@example.net', 'failed', null, null, true, '']],
  ),
  text(
    'LSMTP: an error by fields',
    '"LSMTP" <postmaster@mx.test>',
    'Undelivered mail',
    `An error was detected while processing the enclosed message.

--> Error description:
Error-for:  anna@example.net
Error-Text: Mailer mx.test said:
            "554 Message looping"

------------------------------ Original message ------------------------------
${sent}`,
    [['anna@example.net', 'failed', null, '554', true, '554 Message looping']],
  ),
  text(
    'a gateway whose name has SMTP in it',
    'E500_SMTP_Mail_Service@mx.test',
    'Returned Mail - Error During Delivery',
    `------ Failed Recipients ------

<anna@example.net>: mailbox unavailable. [SMTP Error Code 550]
-------- Returned Mail --------

${sent}`,
    [['anna@example.net', 'failed', null, '550', true, 'mailbox unavailable']],
  ),
  text(
    'a sentence that goes on behind the recipient',
    'InterScan <postmaster@mx.test>',
    'Mail could not be delivered',
    `Unable to deliver message to <anna@example.net> (and other recipients in the same domain).

${sent}`,
    [['anna@example.net', 'failed', null, null, null, 'Unable to deliver message']],
  ),
  text(
    'a message that is addressed to someone, and was not collected',
    daemon,
    'Mail delivery failed',
    `The following message, addressed to 'anna@example.net',
failed because it has not been collected after 30 days

${sent}`,
    [['anna@example.net', 'failed', null, null, null, 'not been collected']],
  ),
  text(
    'a failure that names no recipient',
    'Mail Delivery Subsystem <MAILER-DAEMON@mx.test>',
    'Returned mail: Cannot send message for 4 days',
    `   ----- Transcript of session follows -----
421 example.net (smtp)... Deferred: Connection timed out

   ----- Unsent message follows -----
${sent}`,
    [],
  ),
  {
    title: 'a complaint of Outlook.com, which names the reader in the returned mail',
    mail: `${head('staff@hotmail.com', 'complaint about message from 192.0.2.7')}Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: anna@example.net
${sent}
--b--
`,
    kind: 'complaint',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', null, null, null, null, '']],
  },
  {
    title: 'a mail system that writes of something else',
    mail: `${head(daemon, 'Quota')}
Your mailbox boss@shop.test has 90 % of its quota. See https://mx.test/quota, or ask help@mx.test.
`,
    kind: 'other',
    messageId: null,
    rows: [],
  },
  {
    title: 'an errors notice to a postmaster, with a session that failed',
    mail: `${head(daemon, 'Postfix SMTP server: errors from localhost')}
Transcript of session follows.

 In:  MAIL FROM:<shop@shop.test>
 In:  RCPT TO:<anna@example.net>
 Out: 451 4.3.0 Error: queue file write error
`,
    kind: 'other',
    messageId: null,
    rows: [],
  },
];
