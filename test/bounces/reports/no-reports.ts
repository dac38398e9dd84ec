/** Complaints, answers by programs, and other mail that must not be taken for a report. */
import { head, report, type Case } from './case.ts';

const quoted = `Reporting-MTA: dns; mx.test

Final-Recipient: rfc822; anna@example.net
Action: failed
Status: 5.1.1`;

function none(title: string, mail: string, kind = 'other'): Case {
  return { title, mail, kind, messageId: null, rows: [] };
}

function feedback(fields: string): string {
  return `${head('abuse@isp.test', 'Complaint')}Content-Type: multipart/report; report-type=feedback-report; boundary=f

--f
Content-Type: text/plain

This is a complaint about mail to someone@isp.test.
--f
Content-Type: message/feedback-report

${fields}

--f
Content-Type: message/rfc822

From: shop@shop.test
To: Anna <anna@example.net>
Message-ID: <sent-1@shop.test>

x
--f--
`;
}

const complaint = { kind: 'complaint', messageId: 'sent-1@shop.test' };

export const noReports: readonly Case[] = [
  {
    ...complaint,
    title: 'abuse (RFC 5965), with the recipient named',
    mail: feedback('Feedback-Type: abuse\nUser-Agent: X/1\nVersion: 1\nOriginal-Rcpt-To: <ben@example.net>'),
    rows: [['ben@example.net', null, null, null, null, '']],
  },
  {
    ...complaint,
    title: 'an opt-out, with the recipient blacked out: the returned mail names it',
    mail: feedback('Feedback-Type: opt-out\nVersion: 0.1\nRedacted-Address: redacted'),
    rows: [['anna@example.net', null, null, null, null, '']],
  },
  none('a report about DMARC or DKIM is no complaint', feedback('Feedback-Type: auth-failure\nAuth-Failure: dmarc')),
  none('mail that is no spam is no complaint', feedback('Feedback-Type: not-spam')),
  none(
    'a receipt of reading (RFC 8098)',
    `${head('anna@example.net', 'Read: Hello')}Content-Type: multipart/report; report-type=disposition-notification; boundary=m

--m
Content-Type: text/plain

Your message was read.
--m
Content-Type: message/disposition-notification

Final-Recipient: rfc822; anna@example.net
Original-Message-ID: <sent-1@shop.test>
Disposition: automatic-action/MDN-sent-automatically; displayed

--m--
`,
  ),
  none(
    'a report about TLS (RFC 8460)',
    `${head('tlsrpt@isp.test', 'Report Domain: shop.test')}Content-Type: multipart/report; report-type=tlsrpt; boundary=m

--m
Content-Type: text/plain

An aggregate report.
--m
Content-Type: application/tlsrpt+gzip

H4sI
--m--
`,
  ),
  none(
    'an absence that speaks of failed deliveries, from an empty return path',
    `${head('Anna <anna@example.net>', 'Automatic reply: Hello', 'Auto-Submitted: auto-generated\nIn-Reply-To: <sent-1@shop.test>\n')}
I am away. If delivery has failed, mail to <ben@example.net>: 550 will do.
`,
    'auto-reply',
  ),
  none(
    'an absence in another language, with nothing but its subject',
    `${head('Anna <anna@example.net>', '=?utf-8?Q?[Automatyczna_odpowied=C5=BA]?= test', 'Precedence: junk\n')}
Nie ma mnie.
`,
    'auto-reply',
  ),
  none(
    'an acknowledgement of a ticket system',
    `${head('desk@example.net', '[#17] received', 'Auto-Submitted: auto-replied\n')}\nThank you.\n`,
    'auto-reply',
  ),
  none(
    'a person forwards a report as an attachment',
    `${head('Anna <anna@example.net>', 'Fwd: Undelivered Mail')}Content-Type: multipart/mixed; boundary=p

--p
Content-Type: text/plain

What is this?
--p
Content-Type: message/rfc822; name="Undelivered Mail.eml"
Content-Disposition: attachment; filename="Undelivered Mail.eml"

${report(quoted)}
--p--
`,
  ),
  none(
    'a person forwards a report in the text',
    `${head('Anna <anna@example.net>', 'Fwd: Returned mail: see transcript for details')}
Begin forwarded message:

> From: MAILER-DAEMON@mx.test
> ${quoted.replaceAll('\n', '\n> ')}
`,
  ),
  none(
    'a post to a list quotes a report',
    `${head('Anna <anna@example.net>', 'Re: postfix: Undelivered Mail Returned to Sender', 'List-Id: <users.list.test>\nPrecedence: list\n')}
I get this:

${quoted}
Diagnostic-Code: smtp; 550 5.1.1 no such user
`,
  ),
  none(
    'a list passes on a post that is built like a report',
    report(quoted).replace(
      'From: Mail Delivery System <mailer-daemon@mx.test>',
      'From: Anna <anna@example.net>\nList-Id: <users.list.test>',
    ),
  ),
  none(
    'a bill from a postmaster',
    `${head('postmaster@isp.test', 'Your invoice')}\nDear shop@shop.test, please pay.\n`,
  ),
  none(
    'a plain mail with the words of reports',
    `${head('Anna <anna@example.net>', 'delivery failed')}\nThe delivery to anna@example.net failed: 550 5.1.1 user unknown.\n`,
  ),
  none('an empty mail', ''),
  none('a mail without a header', 'hello\n'),
];
