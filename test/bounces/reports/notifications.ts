/** Notifications in place of reports: JSON of Amazon SES, and texts of programs that name themselves otherwise than mail systems do. */
import { head, sent, text, type Case } from './case.ts';

const sns = 'Bounces <no-reply@sns.amazonaws.com>';
const footer =
  '\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the link below\n';
const mail = { messageId: '0100018f-ses', headers: [{ name: 'Message-ID', value: '<sent-1@shop.test>' }] };
const bounce = {
  notificationType: 'Bounce',
  bounce: {
    bounceType: 'Permanent',
    bouncedRecipients: [
      {
        emailAddress: 'anna@example.net',
        action: 'failed',
        status: '5.1.1',
        diagnosticCode: 'smtp; 550 5.1.1 user unknown',
      },
      { emailAddress: 'ben@example.net' },
    ],
  },
  mail,
};
const rows: Case['rows'] = [
  ['anna@example.net', 'failed', '5.1.1', '550', true, '550 5.1.1 user unknown'],
  ['ben@example.net', 'failed', null, null, null, ''],
];

function notification(title: string, body: string, more: Partial<Case> = {}): Case {
  return { ...text(title, sns, 'AWS Notification Message', body, rows), ...more };
}

function none(title: string, from: string, body: string): Case {
  return {
    title,
    mail: `${head(from, 'AWS Notification Message')}\n${body}`,
    kind: 'other',
    messageId: null,
    rows: [],
  };
}

const returnedTo = (from: string, attached: string): string => `${head(from, 'Mail')}MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="k"

--k
Content-Type: text/plain

Your mail sent on: Mon, 2 Mar 2026 09:00:00 +0000
     Could not be delivered to: <anna@example.net>
     As their mailbox is full.

--k
Content-Type: message/rfc822

${attached}
--k--
`;

export const notifications: readonly Case[] = [
  notification('a bounce as it is', JSON.stringify(bounce) + footer),
  notification(
    'a bounce within a text of SNS',
    JSON.stringify({ Type: 'Notification', Message: JSON.stringify(bounce) }, null, 2) + footer,
  ),
  notification(
    'a bounce whose line Sendmail divided',
    JSON.stringify(bounce).replace('"bouncedRecipients"', '"bounced!\n Recipients"') + footer,
  ),
  notification(
    'a bounce of event publishing, without the headers of the mail',
    JSON.stringify({ ...bounce, notificationType: undefined, eventType: 'Bounce', mail: { messageId: '0100-ses' } }),
    { messageId: null },
  ),
  notification(
    'a transient bounce without an action is no failure',
    JSON.stringify({
      ...bounce,
      bounce: { bounceType: 'Transient', bouncedRecipients: [{ emailAddress: 'anna@example.net' }] },
    }),
    { kind: 'delay', rows: [['anna@example.net', 'delayed', null, null, false, '']] },
  ),
  notification(
    'a complaint',
    JSON.stringify({
      notificationType: 'Complaint',
      complaint: { complainedRecipients: [{ emailAddress: 'anna@example.net' }], complaintFeedbackType: 'abuse' },
      mail,
    }),
    { kind: 'complaint', rows: [['anna@example.net', null, null, null, null, '']] },
  ),
  notification(
    'a delivery',
    JSON.stringify({
      notificationType: 'Delivery',
      delivery: { recipients: ['anna@example.net'], smtpResponse: '250 2.6.0 Message received' },
      mail,
    }),
    {
      kind: 'delivered',
      rows: [['anna@example.net', 'delivered', '2.6.0', '250', null, '250 2.6.0 Message received']],
    },
  ),
  none('the same JSON from someone else', 'Shop <info@sns.amazonaws.com.evil.test>', JSON.stringify(bounce)),
  none('JSON of SNS about something else', sns, '{"notificationType":"Bounce2","bounce":[1],"mail":null}'),
  none('JSON of SNS that ends too early', sns, JSON.stringify(bounce).slice(0, -9)),
  none('JSON that is nested deep', sns, `{"mail":${'['.repeat(100_000)}`),
  {
    title: 'the mail is returned from an address that is not read, with a sentence (KDDI)',
    mail: returnedTo('no-reply@isp.test', sent),
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows: [['anna@example.net', 'failed', null, null, null, 'As their mailbox is full.']],
  },
  {
    title: 'such a mail with somebody else’s mail attached is no report',
    mail: returnedTo('no-reply@isp.test', sent.replaceAll('shop@shop.test', 'other@shop.test')),
    kind: 'other',
    messageId: null,
    rows: [],
  },
  {
    title: 'such a mail by a person is no report',
    mail: returnedTo('Anna <anna@isp.test>', sent),
    kind: 'other',
    messageId: null,
    rows: [],
  },
  text(
    'the error above a list of fields (a gateway to mobile phones)',
    'post_master@mms.test',
    'Re:Hello',
    `Error: Invalid user address

Error message below:
550 - Requested action not taken: no such user here

Message details:
  Subject: Hello
  MAIL FROM: shop@shop.test
  RCPT TO: anna@example.net
  From: shop@shop.test
  CC: recipient list not shown: ;
  Size (in bytes): 39
`,
    [['anna@example.net', 'failed', null, '550', true, 'no such user here']],
    { header: 'In-Reply-To: <sent-1@shop.test>\n' },
  ),
  text(
    'the session in the words of InterScan',
    '"InterScan MSS" <postmaster@scan.test>',
    'Delivery',
    `...

Sent <<< RCPT TO:<anna@example.net>
Received >>> 550 5.1.1 <anna@example.net>... user unknown

...
`,
    [['anna@example.net', 'failed', '5.1.1', '550', true, 'user unknown']],
    { header: 'In-Reply-To: <sent-1@shop.test>\n' },
  ),
  text(
    'a gateway that calls itself an administrator of NDRs names no recipient',
    'MMSC NDR Administrator <sysadmin@mms.test>',
    'Undeliverable Message',
    'Message could not be delivered to mobile.\nError: No valid recipients for this MM\n\nOriginal Message:\nFrom: shop@shop.test\nTo: anna@example.net\n',
    [],
    { messageId: null },
  ),
];
