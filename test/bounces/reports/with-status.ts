/** Reports with the fields of a delivery status: the standard's forms, and what servers make of them. */
import { head, report, type Case } from './case.ts';

const anna = 'Final-Recipient: rfc822; anna@example.net';

export const withStatus: readonly Case[] = [
  {
    title: 'the form of RFC 3464',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.1.1', '550', true, '550 5.1.1 no such user']],
  },
  {
    title: 'a recipient of each fate is a report, as one failed',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: delivered\nStatus: 2.1.5\n\nFinal-Recipient: rfc822;ben@example.net\nAction: relayed\nStatus: 2.0.0\n\nFinal-Recipient: rfc822;cleo@example.net\nAction: delayed\nStatus: 4.4.1\n\nFinal-Recipient: rfc822;team@example.net\nAction: expanded\nStatus: 2.0.0\n\nFinal-Recipient: rfc822;dan@example.net\nAction: failed\nStatus: 5.2.1`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [
      ['anna@example.net', 'delivered', '2.1.5', null, null, ''],
      ['ben@example.net', 'relayed', '2.0.0', null, null, ''],
      ['cleo@example.net', 'delayed', '4.4.1', null, false, ''],
      ['team@example.net', 'expanded', '2.0.0', null, null, ''],
      ['dan@example.net', 'failed', '5.2.1', null, true, ''],
    ],
  },
  {
    title: 'only delays: a delay, and never permanent',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: delayed\nStatus: 4.4.7\nWill-Retry-Until: Tue, 3 Mar 2026 10:00:00 +0000`,
    ),
    kind: 'delay',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'delayed', '4.4.7', null, false, '']],
  },
  {
    title: 'only success, with the words of Sendmail beside the action',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: delivered (to mailbox)\nStatus: 2.1.5\n\nFinal-Recipient: rfc822; old@example.net\nAction: relayed (to non-DSN-aware mailer)\nStatus: 2.1.9\nDiagnostic-Code: SMTP; 250 queued`,
    ),
    kind: 'delivered',
    messageId: 'sent-1@shop.test',
    rows: [
      ['anna@example.net', 'delivered', '2.1.5', null, null, ''],
      ['old@example.net', 'relayed', '2.1.9', '250', null, '250 queued'],
    ],
  },
  {
    title: 'given up with a temporary code: failed, and not permanent',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: failed\nStatus: 4.4.7\nDiagnostic-Code: smtp; 451 4.3.0 try again`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '4.4.7', '451', false, 'try again']],
  },
  {
    title: 'the status stands as written, whatever the reply says',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: failed\nStatus: 4.0.0\nDiagnostic-Code: smtp; 554 5.7.1 blocked`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '4.0.0', '554', false, 'blocked']],
  },
  {
    title: 'the original recipient is ours, the final one is where it was forwarded to',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; a.new@else.test\nOriginal-Recipient: rfc822;anna@example.net\nAction: failed\nStatus: 5.1.1`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.1.1', null, true, '']],
  },
  {
    title: 'the final recipient is a program, and the header names the address',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; |/usr/bin/filter anna@local\nAction: failed\nStatus: 5.0.0`,
    ).replace('Date:', 'X-Failed-Recipients: anna@example.net\nDate:'),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.0.0', null, true, '']],
  },
  {
    title: 'the text names the address that was expanded',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; box17@inner.test\nAction: failed\nStatus: 5.2.2`,
      undefined,
      '<box17@inner.test> (expanded from <anna@example.net>): mailbox is full',
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.2.2', null, true, 'mailbox is full']],
  },
  {
    title: 'names in capitals, comments, folded lines, no blank line after the fields of the message',
    mail: report(
      `REPORTING-MTA: dns\n ; mx.test\nFINAL-RECIPIENT : RFC822 (the type) ;\n <Anna+x@Example.NET>\nACTION: Failed (see below)\nSTATUS: 5.2.1 (closed)\nDIAGNOSTIC-CODE: smtp; 550-5.2.1 The account\n 550 5.2.1 was closed`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['Anna+x@Example.NET', 'failed', '5.2.1', '550', true, '550-5.2.1 The account 550 5.2.1 was closed']],
  },
  {
    title: 'an SMTP code in the place of the status, and indented fields (Zoho)',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n   Final-Recipient: rfc822; anna@example.net\n   Action: failed\n   Status: 550\n   Diagnostic-Code: smtp; user unknown`,
      '  Message-ID: <sent-1@shop.test>\n  To: anna@example.net\n',
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', null, '550', true, 'user unknown']],
  },
  {
    title: 'the reason in the field Status, with another word for failed (NTMail)',
    mail: report(`Reporting-MTA: dns;mx.test\n \n${anna}\nAction: failure\nStatus: 553 Message is too large`),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', null, '553', true, 'Message is too large']],
  },
  {
    title: 'empty lines between the fields of a recipient (SurfControl)',
    mail: report(`\n\n${anna}\n\nAction: failed\n\nStatus: 5.0.0\nDiagnostic-Code: smtp; 554 no\n\n\n`),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.0.0', '554', true, '554 no']],
  },
  {
    title: 'several recipients without an empty line between them',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: failed\nStatus: 5.1.1\nFinal-Recipient: rfc822; ben@example.net\nAction: failed\nStatus: 5.2.2`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [
      ['anna@example.net', 'failed', '5.1.1', null, true, ''],
      ['ben@example.net', 'failed', '5.2.2', null, true, ''],
    ],
  },
  {
    title: 'the action stands with the fields of the message (Boxbe)',
    mail: report(
      `Reporting-MTA: dns; mx.test\nAction: failed\nStatus: 4.7.0\n\n${anna}\nDiagnostic-Code: smtp; sender is not known`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '4.7.0', null, false, 'sender is not known']],
  },
  {
    title: 'a recipient without a type and without a status: the reply has it',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: <anna@example.net>\nAction: failed\nDiagnostic-Code: SMTP; host a.test[192.0.2.7] said: 550 5.7.1 policy`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.7.1', '550', true, 'policy']],
  },
  {
    title: 'an X.400 name, with the original recipient beside it',
    mail: report(
      `Reporting-MTA: x400; mta one\n\nOriginal-Recipient: rfc822; anna@example.net\nFinal-Recipient: x400; /RFC-822=anna(a)example.net/C=XX/\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: Reason 1 (Unable-To-Transfer)`,
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.0.0', null, true, 'Unable-To-Transfer']],
  },
  {
    title: 'an address of RFC 6533, as it is and escaped',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: utf-8; jürgen@bücher.example\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: utf-8; \\x{E4}nne@example.net\nAction: failed\nStatus: 5.1.1`,
    ).replace('message/delivery-status', 'message/global-delivery-status'),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [
      ['jürgen@bücher.example', 'failed', '5.1.1', null, true, ''],
      ['änne@example.net', 'failed', '5.1.1', null, true, ''],
    ],
  },
  {
    title: 'a status in base64',
    mail: report(
      Buffer.from(`Reporting-MTA: dns; mx.test\r\n\r\n${anna}\r\nAction: failed\r\nStatus: 5.7.1\r\n`).toString(
        'base64',
      ),
    ).replace('message/delivery-status', 'message/delivery-status\nContent-Transfer-Encoding: base64'),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.7.1', null, true, '']],
  },
  {
    title: 'a status in quoted-printable, broken within a word',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: fai=\nled\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 =C3=A4h`,
    ).replace('message/delivery-status', 'message/delivery-status\nContent-Transfer-Encoding: Quoted-Printable'),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.1.1', '550', true, '550 äh']],
  },
  {
    title: 'a scanner puts the report into multipart/mixed, and adds a footer',
    mail: `${head('postmaster@mx.test', 'Delivery Status Notification (Failure)')}MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/report; boundary=inner; report-type=delivery-status

--inner
Content-Type: text/plain

Delivery failed.
--inner
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.test

${anna}
Action: failed
Status: 5.1.1

--inner
Content-Type: message/rfc822

To: anna@example.net
Message-ID: <sent-1@shop.test>

Hello
--inner--

--outer
Content-Type: text/plain

Scanned by Scanner. Questions: help@scanner.test
--outer--
`,
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.1.1', null, true, '']],
  },
  {
    title: 'the text has the reason where the status has none',
    mail: report(
      `Reporting-MTA: dns; mx.test\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.2.2`,
      undefined,
      'Your message to <anna@example.net> was automatically rejected:\nMailbox is over its quota',
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.2.2', null, true, 'Mailbox is over its quota']],
  },
  {
    title: 'text and status name different recipients: the status holds',
    mail: report(
      `Reporting-MTA: dns; mx.test\n\n${anna}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no`,
      undefined,
      '<other@else.test>: host a said: 550 no',
    ),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '5.1.1', '550', true, '']],
  },
  {
    title: 'a probe of an address is no report, as no mail was sent',
    mail: report(`Reporting-MTA: dns; mx.test\n\n${anna}\nAction: undeliverable\nStatus: 5.1.1`),
    kind: 'other',
    messageId: null,
    rows: [],
  },
];
