/** Which mail a report is about: returned whole, as its header, not at all, under another Message-ID. */
import { head, report, type Case, type Row } from './case.ts';

const failed =
  'Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1';
const row: Row = ['anna@example.net', 'failed', '5.1.1', null, true, ''];
const is = (title: string, mail: string, messageId: string | null): Case => ({
  title,
  mail,
  kind: 'report',
  messageId,
  rows: [row],
});
const returnedAs = (type: string): string => report(failed).replace('text/rfc822-headers', type);

export const whichMail: readonly Case[] = [
  ...[
    'message/rfc822',
    'text/rfc822',
    'text/rfc822-header',
    'message/global',
    'message/global-headers',
    'Message/RFC822; name="mail.eml"',
  ].map((type) => is(`the returned mail is a part of type ${type}`, returnedAs(type), 'sent-1@shop.test')),
  is(
    'the Message-ID has no angle brackets',
    report(failed, 'Message-ID: 20260302-17\nTo: anna@example.net\n'),
    '20260302-17',
  ),
  is('the Message-ID is folded', report(failed, 'message-id:\n <sent-1@shop.test>\n'), 'sent-1@shop.test'),
  is(
    'Exchange replaced the Message-ID, and kept ours beside it',
    report(failed, 'Message-ID: <AB12@prod.outlook.test>\nX-Microsoft-Original-Message-ID:\n <sent-1@shop.test>\n'),
    'sent-1@shop.test',
  ),
  is(
    'NetEase replaced the Message-ID, and kept ours beside it',
    report(failed, 'X-CM-Original-Message-ID: <sent-1@shop.test>\nMessage-ID: <5E@netease.test>\n'),
    'sent-1@shop.test',
  ),
  is(
    'a server on the way put a second Message-ID on top',
    report(failed, 'Message-ID: <gateway-9@mx.test>\nReceived: by x\nMessage-ID: <sent-1@shop.test>\n'),
    'sent-1@shop.test',
  ),
  is(
    'the status repeats the Message-ID, and nothing was returned (Gmail)',
    report(`X-Original-Message-ID: <sent-1@shop.test>\n${failed}`, 'Subject: none\n'),
    'sent-1@shop.test',
  ),
  is(
    'only the id of the envelope',
    report(failed.replace('\n\n', '\nOriginal-Envelope-Id: sent-1@shop.test\n\n'), 'Subject: none\n'),
    'sent-1@shop.test',
  ),
  is(
    'only References of the report',
    report(failed, 'Subject: none\n').replace('Date:', 'References: <thread@shop.test>\n <sent-1@shop.test>\nDate:'),
    'sent-1@shop.test',
  ),
  is('nothing names it', report(failed, 'Subject: none\n'), null),
  is(
    'the returned mail carries another mail: the outer one counts',
    report(
      failed,
      'Message-ID: <sent-1@shop.test>\nContent-Type: multipart/mixed; boundary=q\n\n--q\nContent-Type: message/rfc822\n\nMessage-ID: <inner@else.test>\n\nhi\n--q--\n',
    ).replace('text/rfc822-headers', 'message/rfc822'),
    'sent-1@shop.test',
  ),
  is(
    'the returned mail is a report itself: only the outer one counts',
    report(
      failed,
      `Message-ID: <sent-1@shop.test>\nContent-Type: multipart/report; boundary=q\n\n--q\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; inner@else.test\nAction: failed\nStatus: 5.5.5\n\n--q--\n`,
    ).replace('text/rfc822-headers', 'message/rfc822'),
    'sent-1@shop.test',
  ),
  is(
    'two returned mails name two mails, so none',
    report(failed).replace(
      '\n--b1--',
      '\n--b1\nContent-Type: message/rfc822\n\nMessage-ID: <sent-2@shop.test>\n\nx\n--b1--',
    ),
    null,
  ),
  is(
    'the mbox line at the top is passed over',
    `From MAILER-DAEMON Mon Mar  2 10:00:00 2026\n${report(failed)}`,
    'sent-1@shop.test',
  ),
  {
    title: 'Gmail nests the text with an image, and repeats the id in the status',
    mail: `${head('Mail Delivery Subsystem <mailer-daemon@mail.test>', 'Delivery Status Notification (Failure)', 'X-Failed-Recipients: anna@example.net\nAuto-Submitted: auto-replied\n')}Content-Type: multipart/report; boundary=r; report-type=delivery-status

--r
Content-Type: multipart/related; boundary=s

--s
Content-Type: multipart/alternative; boundary=t

--t
Content-Type: text/plain; charset=UTF-8

Your message wasn't delivered to anna@example.net because the domain example.net couldn't be found.
--t
Content-Type: text/html; charset=UTF-8

<p>Not delivered to <b>anna@example.net</b></p>
--t--
--s
Content-Type: image/png; name="icon.png"
Content-Transfer-Encoding: base64

aGVsbG8=
--s--
--r
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.test
X-Original-Message-ID: <sent-1@shop.test>

Final-Recipient: rfc822; anna@example.net
Action: failed
Status: 4.0.0
Diagnostic-Code: smtp; DNS Error: 80335577 DNS type 'mx' lookup of example.net responded with code NXDOMAIN

--r
Content-Type: message/rfc822

From: shop@shop.test
Message-ID: <sent-1@shop.test>

--r--
`,
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', '4.0.0', null, false, 'NXDOMAIN']],
  },
];
