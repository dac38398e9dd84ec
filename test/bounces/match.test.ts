/** Which message a report is about: what identifies it, what does not, and what a forged report changes. */
import { describe, expect, test } from 'vitest';
import { matched, stepsOf, type SentMessage } from '../../src/bounces/match.ts';
import { readReport, type Report } from '../../src/bounces/report.ts';
import { report as mail } from './reports/case.ts';

const status =
  'Reporting-MTA: dns; mx.test\nX-Postfix-Queue-ID: 4abcD\nOriginal-Envelope-Id: env-7\n\nFinal-Recipient: rfc822; Anna@Example.NET\nAction: failed\nStatus: 5.1.1';
const message: SentMessage = { id: 'm1', recipients: ['anna@example.net', 'ben@example.net'] };
const other: SentMessage = { id: 'm2', recipients: ['anna@example.net'] };

const returned = 'Message-ID: <sent-1@shop.test>\n';

async function read(text = mail(status, returned)): Promise<Report> {
  return readReport(Buffer.from(text));
}

describe('what is looked up', () => {
  test('ids of the mail and of the envelope, then the return path, then queue ids, then the thread, one by one', async () => {
    const text = mail(status)
      .replace('To: shop@shop.test', 'To: bounces+m1@shop.test')
      .replace('Date:', 'In-Reply-To: <t2@shop.test>\nReferences: <t1@shop.test> <t2@shop.test>\nDate:');
    const idIn = (address: string): string | null => /^bounces\+(\w+)@/.exec(address)?.[1] ?? null;
    expect(stepsOf(await read(text), idIn)).toEqual([
      { by: 'message', values: ['sent-1@shop.test', 'env-7'] },
      { by: 'id', values: ['m1'] },
      { by: 'message', values: ['4abcD'] },
      { by: 'message', values: ['t2@shop.test'] },
      { by: 'message', values: ['t1@shop.test'] },
    ]);
  });

  test('no return path is looked for where no connector has one', async () => {
    expect(stepsOf(await read(), () => null).map(({ by }) => by)).not.toContain('id');
  });
});

describe('what is made of what was found', () => {
  test('the recipient of the message, whatever the case of letters', async () => {
    expect(matched(await read(), [message])).toMatchObject({
      kind: 'matched',
      id: 'm1',
      recipients: [{ recipient: 'Anna@Example.NET', permanent: true }],
    });
  });

  test('a domain as A-label is the same as the domain as it is read', async () => {
    const text = mail(status.replace('Anna@Example.NET', 'anna@xn--bcher-kva.example'));
    expect(matched(await read(text), [{ id: 'm1', recipients: ['anna@bücher.example'] }]).kind).toBe('matched');
  });

  test('forged: our Message-ID with a recipient that is not ours changes nothing', async () => {
    const text = mail(status.replace('Anna@Example.NET', 'boss@example.net'));
    expect(matched(await read(text), [message])).toEqual({ kind: 'unmatched', why: 'stranger' });
  });

  test('forged: of several recipients only ours count', async () => {
    const text = mail(
      `${status}\n\nFinal-Recipient: rfc822; boss@example.net\nAction: failed\nStatus: 5.1.1`,
      returned,
    );
    const match = matched(await read(text), [message]);
    expect(match.kind === 'matched' ? match.recipients.map(({ recipient }) => recipient) : []).toEqual([
      'Anna@Example.NET',
    ]);
  });

  test.each<[string, readonly SentMessage[] | null]>([
    ['ambiguous', [message, other]],
    ['unknown', []],
    ['no-clue', null],
  ])('%s', async (why, found) => {
    expect(matched(await read(), found)).toEqual({ kind: 'unmatched', why });
  });

  test('the same message twice is one', async () => {
    expect(matched(await read(), [message, message]).kind).toBe('matched');
  });

  test('mail that is no report never matches', async () => {
    expect(matched(await read('Subject: hello\n\nhello'), [message])).toEqual({ kind: 'unmatched', why: 'no-report' });
  });
});
