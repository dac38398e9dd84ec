/** Haraka, which closes the connection at a recipient that it drops. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Contained } from '../../testkit/mailservers/contained.ts';
import { harakaMissing, startHaraka } from '../../testkit/mailservers/haraka.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';
import { root } from '../support/source.ts';
import { letter, people, sendAll, transportTo } from './support.ts';

const packages = join(root, 'test/compat/haraka');
const missing = harakaMissing(packages);
if (missing !== null) console.warn(`Haraka is not tested: ${missing}`);

describe.skipIf(missing !== null)('Haraka', () => {
  let server: Contained;
  beforeAll(async () => {
    server = await startHaraka(packages);
  });
  afterAll(() => server?.stop());

  test('takes 100 messages of five sessions', async () => {
    expect(await sendAll(transportTo(server), 100, 1)).toBe(1);
  });

  test('each recipient has its own outcome', async () => {
    const to = ['a@example.net', 'bad@example.net', 'later@example.net', 'b@example.net'];
    expect(summary(await sendBy(transportTo(server), mailOf({ to, bytes: letter('mixed') })))).toBe(
      'accepted rejected deferred accepted',
    );
  });

  test('a recipient at whom it closes the connection is deferred, and the others have their copy at once', async () => {
    const to = [...people(2), 'drop@example.net', ...people(2, 'other.example')];
    expect(summary(await sendBy(transportTo(server), mailOf({ to, bytes: letter('drop') })))).toBe(
      'accepted accepted deferred accepted accepted',
    );
  });

  test('takes addresses and headers beyond ASCII', async () => {
    const bytes = Buffer.from('From: sales@example.com\r\nSubject: grün\r\n\r\nhello\r\n');
    expect(summary(await sendBy(transportTo(server), mailOf({ to: ['grün@example.net'], bytes })))).toBe('accepted');
  });
});
