/** A mail with what it means: the form of all cases for the reader of reports. */

/** recipient, action, status, SMTP code, permanent, a piece of the diagnostic ('' for none). */
export type Row = readonly [
  recipient: string | null,
  action: string | null,
  status: string | null,
  smtpCode: string | null,
  permanent: boolean | null,
  diagnostic: string,
];

export interface Case {
  readonly title: string;
  readonly mail: string | Buffer;
  readonly kind: string;
  readonly messageId: string | null;
  readonly rows: readonly Row[];
}

/** The header of a report, with the fields that differ. */
export function head(from: string, subject: string, more = ''): string {
  return `Return-Path: <>
From: ${from}
To: shop@shop.test
Subject: ${subject}
Date: Mon, 2 Mar 2026 10:00:00 +0000
Message-ID: <report@mx.test>
${more}`;
}

/** A multipart/report (RFC 6522) of three parts: a text, a status, and the header of the returned mail. */
export function report(
  status: string,
  returned = 'Message-ID: <sent-1@shop.test>\nTo: anna@example.net\n',
  text = 'See below.',
): string {
  return `${head('Mail Delivery System <mailer-daemon@mx.test>', 'Undelivered Mail')}MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain

${text}
--b1
Content-Type: message/delivery-status

${status}
--b1
Content-Type: text/rfc822-headers

${returned}
--b1--
`;
}

/** A returned mail. */
export const sent =
  'Received: from a by b; Mon, 2 Mar 2026 09:00:00 +0000\nMessage-ID: <sent-1@shop.test>\nFrom: Shop <shop@shop.test>\nTo: anna@example.net\nSubject: Hello\n\nHello\n';

/** A report that is text: all but what is given is as usual. */
export function text(
  title: string,
  from: string,
  subject: string,
  body: string,
  rows: readonly Row[],
  more: Partial<Case> & { readonly header?: string } = {},
): Case {
  const { header = '', ...rest } = more;
  return {
    title,
    mail: `${head(from, subject, header)}\n${body}`,
    kind: 'report',
    messageId: 'sent-1@shop.test',
    rows,
    ...rest,
  };
}
