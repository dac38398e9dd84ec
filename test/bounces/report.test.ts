/** Reads reports: each kind of mail and each trap, with inputs of our own. */
import { describe, expect, test } from 'vitest';
import { mayBeReport } from '../../src/bounces/candidates.ts';
import { readParts, type Part } from '../../src/bounces/parts.ts';
import { readReport } from '../../src/bounces/report.ts';
import { asText } from './reports/as-text.ts';
import { asTextToo } from './reports/as-text-too.ts';
import type { Case } from './reports/case.ts';
import { noReports } from './reports/no-reports.ts';
import { notifications } from './reports/notifications.ts';
import { odd } from './reports/odd.ts';
import { whichMail } from './reports/which-mail.ts';
import { withStatus } from './reports/with-status.ts';

/** What a server tells of a mail without its text. */
function typesOf({ type, parts }: Part): string[] {
  return [type, ...(type === 'message/rfc822' ? [] : parts.flatMap(typesOf))];
}

/** What the reader says. Of a diagnostic, the piece that is expected, if it is in it. */
async function said({ mail, rows }: Case, lineEnd: string): Promise<object> {
  const bytes = typeof mail === 'string' ? Buffer.from(mail.replaceAll('\n', lineEnd)) : mail;
  const { kind, messageId, recipients } = await readReport(bytes);
  const found = recipients.map(({ recipient, action, status, smtpCode, permanent, diagnostic }, at) => {
    const piece = rows[at]?.[5] ?? '';
    return [
      recipient,
      action,
      status,
      smtpCode,
      permanent,
      diagnostic?.includes(piece) === true ? piece : (diagnostic ?? ''),
    ];
  });
  return { kind, messageId, rows: found };
}

function meaning({ kind, messageId, rows }: Case): object {
  return { kind, messageId, rows };
}

describe.each([
  ['LF', '\n'],
  ['CRLF', '\r\n'],
])('with %s', (_name, lineEnd) => {
  describe('a report with the fields of a delivery status', () => {
    test.each(withStatus)('$title', async (each) => {
      expect(await said(each, lineEnd)).toEqual(meaning(each));
    });
  });
  describe('the mail that a report is about', () => {
    test.each(whichMail)('$title', async (each) => {
      expect(await said(each, lineEnd)).toEqual(meaning(each));
    });
  });
  describe('a report that is text', () => {
    test.each([...asText, ...asTextToo])('$title', async (each) => {
      expect(await said(each, lineEnd)).toEqual(meaning(each));
    });
  });
  describe('a report that is damaged, or of a program that few use', () => {
    test.each(odd)('$title', async (each) => {
      expect(await said(each, lineEnd)).toEqual(meaning(each));
    });
  });
  describe('a notification', () => {
    test.each(notifications)('$title', async (each) => {
      expect(await said(each, lineEnd)).toEqual(meaning(each));
    });
  });
  describe('no report', () => {
    test.each(noReports)('$title', async (each) => {
      expect(await said(each, lineEnd)).toEqual(meaning(each));
    });
  });
});

test.each(
  [...withStatus, ...whichMail, ...asText, ...asTextToo, ...notifications, ...odd].filter(
    ({ kind }) => kind !== 'other' && kind !== 'auto-reply',
  ),
)('is read from a mailbox: $title', async ({ mail }) => {
  const root = await readParts(Buffer.from(mail));
  expect(mayBeReport(root.fields, typesOf(root))).toBe(true);
});
