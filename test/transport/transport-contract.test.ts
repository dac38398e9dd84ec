/** The contract suite itself: it catches a transport that breaks a promise, and runs under other test runners. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  createRecordingTransport,
  transportContract,
  type ContractHarness,
  type RecordingTransport,
  type Transport,
} from '../../src/testing.ts';
import { root } from '../support/source.ts';

/** Titles of the cases that fail for a recording transport whose methods are replaced. */
async function failures(breaks: (honest: RecordingTransport) => Partial<Transport>): Promise<string[]> {
  const cases: { title: string; run: () => Promise<void> }[] = [];
  const harness: ContractHarness = {
    describe: (_name, define) => define(),
    test: (title, run) => cases.push({ title, run }),
  };
  const make = async () => {
    const honest = createRecordingTransport();
    return { transport: { ...honest, ...breaks(honest) }, begun: () => honest.mails.length };
  };
  const unsupported = ['second-refused', 'refuses-all', 'not-now', 'silent-after-body', 'unreachable'] as const;
  transportContract('broken', make, { harness, unsupported });
  const failed: string[] = [];
  for (const { title, run } of cases) await run().catch(() => failed.push(title));
  return failed;
}

describe('the contract suite', () => {
  test('passes a transport that keeps its promises', async () => {
    expect(await failures(() => ({}))).toEqual([]);
  });

  test.each<[string, (honest: RecordingTransport) => Partial<Transport>, string]>([
    [
      'asks the fence twice',
      (honest) => ({
        send: async (mail, context) => {
          await context.fence().catch(() => undefined);
          return honest.send(mail, context);
        },
      }),
      'asks the fence once, before anything of the mail is on the wire',
    ],
    [
      'does not ask the fence',
      (honest) => ({ send: (mail, { signal }) => honest.send(mail, { signal, fence: async () => true }) }),
      'sends nothing when the fence says no, and sends the next mail',
    ],
    [
      'does not heed the signal',
      (honest) => ({ send: (mail, { fence }) => honest.send(mail, { fence, signal: new AbortController().signal }) }),
      'sends nothing, and asks no fence, after the signal',
    ],
    [
      'forgets a recipient',
      (honest) => ({
        send: async (mail, context) => {
          const outcome = await honest.send(mail, context);
          return outcome.kind === 'settled' ? { ...outcome, recipients: outcome.recipients.slice(1) } : outcome;
        },
      }),
      'reports every recipient once, in the order of the envelope: accepts',
    ],
    [
      'sends a mail in check()',
      (honest) => ({
        check: async (signal) => {
          const mail = { id: 'x', envelope: { to: ['x@example.net'] }, bytes: Buffer.alloc(0) };
          await honest.send(mail, { signal, fence: async () => true });
          return { ok: true, detail: 'reached' };
        },
      }),
      'reaches the server with check(), and sends nothing',
    ],
    [
      'does not wait in close()',
      () => ({ close: async () => undefined }),
      'lets running sends finish before close() resolves, and refuses new ones',
    ],
  ])('fails a transport that %s', async (_what, breaks, title) => {
    expect(await failures(breaks)).toContain(title);
  });

  test('without global functions and without a harness says what to pass', () => {
    const make = async () => ({ transport: createRecordingTransport(), begun: () => 0 });
    expect(() => transportContract('x', make)).toThrow(/pass \{ harness: \{ describe, test \} \}/);
  });

  test('runs under node:test', async () => {
    const program = `
      import { describe, test } from 'node:test';
      import { createRecordingTransport, transportContract } from './src/testing.ts';
      const make = async () => {
        const transport = createRecordingTransport();
        return { transport, begun: () => transport.mails.length };
      };
      const unsupported = ['second-refused', 'refuses-all', 'not-now', 'silent-after-body', 'unreachable'];
      transportContract('recording', make, { harness: { describe, test }, unsupported });
    `;
    const args = ['--input-type=module', '--test-reporter=tap', '--eval', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stdout).toMatch(/^# pass 10$/m);
    expect(stdout).toMatch(/^# fail 0$/m);
    expect(stdout).toMatch(/^# skipped 5$/m);
  });
});
