/** Mails that were made to hurt their reader: each is an answer, in bounded time and memory. */
import { array, assert, asyncProperty, constantFrom, nat, oneof, record, uint8Array } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maxReadBytes, readReport } from '../../src/bounces/report.ts';
import { asText } from './reports/as-text.ts';
import { asTextToo } from './reports/as-text-too.ts';
import { head, report } from './reports/case.ts';
import { noReports } from './reports/no-reports.ts';
import { whichMail } from './reports/which-mail.ts';
import { withStatus } from './reports/with-status.ts';

const megabyte = 1024 * 1024;
const failed =
  'Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1';

/** CPU of this process that a mail costs, in ms. */
async function costOf(mail: string | Buffer): Promise<number> {
  const before = process.cpuUsage();
  await readReport(Buffer.from(mail));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test('a million recipients: the first thousand are read', async () => {
  const status = Array.from({ length: 1_000_000 }, (_, i) => `Final-Recipient: rfc822; r${i}@e.test\nAction: failed\n`);
  const { kind, recipients } = await readReport(
    Buffer.from(report(`Reporting-MTA: dns; mx.test\n\n${status.join('\n')}`)),
  );
  expect([kind, recipients.length, recipients[0]?.recipient]).toEqual(['report', 1_000, 'r0@e.test']);
});

test('50 MB behind the report are not looked at, and nothing is copied of them', async () => {
  const mail = Buffer.concat([Buffer.from(report(failed)), Buffer.alloc(50 * megabyte, 'x')]);
  const before = process.memoryUsage().arrayBuffers;
  const { kind, messageId, recipients } = await readReport(mail);
  expect([kind, messageId, recipients.length]).toEqual(['report', 'sent-1@shop.test', 1]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * maxReadBytes);
});

test('multiparts in multiparts, a thousand deep: no report, and the stack holds', async () => {
  const depth = 1_000;
  const levels = Array.from({ length: depth }, (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`);
  expect(await readReport(Buffer.from(`${head('MAILER-DAEMON@mx.test', 'failure')}${levels.join('')}`))).toMatchObject({
    kind: 'other',
    recipients: [],
  });
});

test('a hundred thousand parts: those behind the bound are not looked at', async () => {
  const parts = Array.from({ length: 100_000 }, () => '--b1\nContent-Type: text/plain\n\nx\n').join('');
  const mail = report(failed).replace('--b1--', `${parts}--b1--`);
  expect(await readReport(Buffer.from(mail))).toMatchObject({ kind: 'report', messageId: 'sent-1@shop.test' });
});

test('a diagnostic of a megabyte is cut, and its code is read', async () => {
  const { recipients } = await readReport(
    Buffer.from(report(`${failed}\nDiagnostic-Code: smtp; 552 5.3.4 ${'too big '.repeat(131_072)}`, '')),
  );
  expect(recipients[0]).toMatchObject({ smtpCode: '552', permanent: true });
  expect(recipients[0]?.diagnostic?.length).toBeLessThanOrEqual(500);
});

test('control characters and line ends of a report do not leave its fields', async () => {
  const { recipients } = await readReport(Buffer.from(report(`${failed}\nDiagnostic-Code: smtp; 550 a\rb\u0007c\n d`)));
  expect(recipients[0]?.diagnostic).not.toMatch(/[\r\n]/);
});

test('no name of a field reaches the prototype of an object', async () => {
  const { recipients } = await readReport(
    Buffer.from(report(`__proto__: x\nconstructor: y\n\n${failed}\n__proto__: z`)),
  );
  expect(recipients).toHaveLength(1);
});

describe('texts that were made for patterns: twice the text costs about twice the time', () => {
  const daemon = head('MAILER-DAEMON@mx.test', 'failure notice');
  const html = 'Content-Type: text/html\n';
  const shapes: readonly [what: string, of: (count: number) => string][] = [
    ['at signs', (count) => `${daemon}\n${'@'.repeat(count * 8)}`],
    ['addresses in one line', (count) => `${daemon}\n${'a@b.test '.repeat(count)}`],
    ['addresses in lines', (count) => `${daemon}\n${'user a@b.test is unknown\n'.repeat(count)}`],
    [
      'different addresses',
      (count) => `${daemon}\n${Array.from({ length: count }, (_, i) => `<r${i}@e.test>: 550 no\n`).join('')}`,
    ],
    ['opening brackets', (count) => `${daemon}\n${'('.repeat(count * 8)}`],
    ['open elements of HTML', (count) => `${daemon}${html}\n${'<style>'.repeat(count)}`],
    ['open tags of HTML', (count) => `${daemon}${html}\n${'<br '.repeat(count)}`],
    ['codes', (count) => `${daemon}\n<a@b.test>: ${'550 5.1.1 '.repeat(count)}`],
    ['words of reasons', (count) => `${daemon}\n<a@b.test>: ${'user not '.repeat(count)}`],
    ['a header of one field', (count) => `X: ${'a:'.repeat(count * 4)}\n\nx`],
    ['header fields', (count) => `${'X-Failed-Recipients: a@b.test\n'.repeat(count)}\nx`],
    ['encoded words', (count) => `Subject: ${'=?utf-8?q?a?= '.repeat(count)}\n\nx`],
    ['blocks of a status', (count) => report('Action: failed\n\n'.repeat(count))],
    [
      'folded lines',
      (count) => report(`Final-Recipient: rfc822; a@b.test\nDiagnostic-Code: x\n${' y\n'.repeat(count)}`),
    ],
    [
      'ids in References',
      (count) => report(failed).replace('Date:', `References: ${'<a@b.test> '.repeat(count)}\nDate:`),
    ],
  ];
  test.each(shapes)('%s', async (_what, of) => {
    await costOf(of(2_000));
    const once = await costOf(of(20_000));
    const twice = await costOf(of(40_000));
    expect(twice).toBeLessThan(Math.max(once * 4, 400));
    expect(twice).toBeLessThan(3_000);
  });
});

test('any change of a report is an answer of the same form', { timeout: 60_000 }, async () => {
  const mails = [...withStatus, ...whichMail, ...asText, ...asTextToo, ...noReports].map(({ mail }) =>
    Buffer.from(mail),
  );
  const edit = record({
    at: nat(20_000),
    drop: nat(200),
    put: oneof(
      uint8Array({ maxLength: 40 }),
      constantFrom('--b1\n', '\n\n', ': ', '<', '@', '"', '\r', '\0').map((text) => Buffer.from(text)),
    ),
  });
  await assert(
    asyncProperty(constantFrom(...mails), array(edit, { minLength: 1, maxLength: 6 }), async (mail, edits) => {
      let bytes = mail;
      for (const { at, drop, put } of edits) {
        const from = bytes.length === 0 ? 0 : at % bytes.length;
        bytes = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + drop)]);
      }
      const { kind, messageId, recipients, clues } = await readReport(bytes);
      expect(['report', 'delay', 'delivered', 'complaint', 'auto-reply', 'other']).toContain(kind);
      expect(messageId ?? 'none').toMatch(/^[^<>\s]{1,900}$/);
      for (const { recipient, status, smtpCode, diagnostic } of recipients) {
        expect(recipient ?? 'none').toMatch(/^[^\s<>]{1,448}$/);
        expect(status ?? '5.0.0').toMatch(/^[245]\.\d{1,3}\.\d{1,3}$/);
        expect(smtpCode ?? '550').toMatch(/^[245]\d\d$/);
        expect(diagnostic?.length ?? 0).toBeLessThanOrEqual(500);
      }
      for (const list of Object.values(clues)) expect(list.length).toBeLessThanOrEqual(50);
    }),
    { numRuns: 300 },
  );
});

test('a word that begins a reason again and again, for a thousand recipients without a status: as cheap as any word', async () => {
  const of = (words: string): string => {
    const all = Array.from({ length: 1_000 }, (_, n) => `Final-Recipient: rfc822; r${n}@e.test\nAction: failed`);
    return report(`Reporting-MTA: dns; mx.test\nDiagnostic-Code: smtp; ${words}\n\n${all.join('\n\n')}`);
  };
  const plain = of('xxxxxxxx'.repeat(480));
  await costOf(plain);
  const cost = await costOf(plain);
  // In quadratic time it was thirty times as much.
  expect(await costOf(of('nonexist'.repeat(480)))).toBeLessThan(8 * cost + 100);
});
