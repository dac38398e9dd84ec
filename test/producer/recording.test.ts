/** The recording producer: the same answers and errors as the real one, a script of failures, and states that a test sets. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Producer } from '../../src/producer/producer.ts';
import { createRecordingProducer } from '../../src/testing.ts';
import { testProducer } from '../support/postlane.ts';
import { rejection } from '../support/rejection.ts';
import { isSealed, testPrefix } from '../support/redis.ts';

const message = { from: 'x@example.com', to: 'a@example.net', text: 'x' };

const kinds: [string, () => Producer][] = [
  ['a producer', () => testProducer(testPrefix(), { message: { maxRecipients: 2 } })],
  ['a recording producer', () => createRecordingProducer({ message: { maxRecipients: 2 } })],
];

describe.each(kinds)('%s', (_kind, make) => {
  test('makes a UUIDv7 for a message without an id, and knows it from then on', async () => {
    const producer = make();
    const { id, duplicate } = await producer.send(message);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(duplicate).toBe(false);
    expect(await producer.send({ ...message, id })).toEqual({ id, duplicate: true });
    expect(await producer.status(id)).toMatchObject({
      id,
      state: 'queued',
      connector: null,
      attempts: 0,
      recipients: [{ address: 'a@example.net', outcome: 'pending', code: null, reply: null }],
      history: [{ event: 'accepted' }],
      messageId: null,
      reason: null,
      retryAt: null,
    });
  });

  test('refuses what is not a message, with every issue', async () => {
    const error = await rejection(make().send({ ...message, to: 'nobody', subject: 'a\nb' }));
    expect(error.code).toBe('message-invalid');
    expect(error.issues.map(({ field, rule }) => [field, rule])).toEqual([
      ['to', 'address'],
      ['subject', 'control-character'],
    ]);
    expect(error.message).toMatch(/^The message is not valid: to: .*; subject: /);
  });

  test('applies its limits', async () => {
    const error = await rejection(make().send({ ...message, to: ['a@x.example', 'b@x.example', 'c@x.example'] }));
    expect(error.issues).toMatchObject([{ field: 'to', rule: 'too-many-recipients' }]);
  });

  test('answers sendMany() per message, in order', async () => {
    const results = await make().sendMany([{ ...message, id: 'one' }, { to: 'nobody' }, { ...message, id: 'one' }]);
    expect(results).toMatchObject([
      { ok: true, id: 'one' },
      { ok: false, error: { code: 'message-invalid' } },
      { ok: true },
    ]);
  });

  test.skipIf(isSealed())('takes a reference to content that an earlier message brought, and no other', async () => {
    const producer = make();
    const content = Buffer.alloc(100_000, 'x');
    await producer.send({ ...message, attachments: [{ content }] });
    const ref = '9f7d0e4d3b5d6b8a0e7f3c2b1a09182736455463728190a0b0c0d0e0f0a1b2c3';
    const unknown = await rejection(producer.send({ ...message, attachments: [{ ref, size: 100_000 }] }));
    expect(unknown.code).toBe('attachment-missing');
    const { createHash } = await import('node:crypto');
    const known = createHash('sha256').update(content).digest('hex');
    expect(await producer.send({ ...message, attachments: [{ ref: known, size: 100_000 }] })).toMatchObject({
      duplicate: false,
    });
  });

  test('cancels what is not sent yet, and says so again', async () => {
    const producer = make();
    const retryAt = Math.ceil(Date.now() / 1_000) * 1_000 + 3_600_000;
    await producer.send({ ...message, id: 'later', sendAt: retryAt });
    expect(await producer.status('later')).toMatchObject({ state: 'scheduled' });
    expect([await producer.cancel('later'), await producer.cancel('later')]).toEqual([true, true]);
    expect(await producer.cancel('unknown')).toBe(false);
    expect(await producer.waitFor('later')).toMatchObject({ state: 'cancelled' });
  });

  test('waits with the same errors', async () => {
    const producer = make();
    await producer.send({ ...message, id: 'waits' });
    expect(await rejection(producer.waitFor('nowhere'))).toMatchObject({ code: 'not-found', id: 'nowhere' });
    const error = await rejection(producer.waitFor('waits', { timeoutMs: 700 }));
    expect(error).toMatchObject({ code: 'timeout', id: 'waits' });
    expect(error.message).toContain('still queued');
    const aborted = rejection(producer.waitFor('waits', { signal: AbortSignal.abort() }));
    expect(await aborted).toMatchObject({ code: 'aborted', id: 'waits' });
  });

  test('heeds a signal', async () => {
    const producer = make();
    const signal = AbortSignal.abort('no');
    const error = await rejection(producer.send({ ...message, id: 'm' }, { signal }));
    expect(error).toMatchObject({ code: 'aborted', id: 'm', cause: 'no' });
    expect((await rejection(producer.status('m', { signal }))).code).toBe('aborted');
    expect(await producer.status('m')).toBeNull();
  });

  test('refuses every call after close(), which may be called twice', async () => {
    const producer = make();
    await producer.close();
    await producer.close();
    for (const call of [producer.send(message), producer.sendMany([message]), producer.status('x')]) {
      expect((await rejection(call)).code).toBe('producer-closed');
    }
    for (const call of [producer.cancel('x'), producer.waitFor('x')]) {
      expect((await rejection(call)).code).toBe('producer-closed');
    }
  });
});

describe('the recording producer', () => {
  test('remembers what was sent, in its normal form, and no duplicates', async () => {
    const producer = createRecordingProducer();
    const content = Buffer.alloc(100_000, 'x');
    await producer.send({ ...message, id: 'one', attachments: [{ filename: 'a.bin', content }] });
    await producer.send({ ...message, id: 'one' });
    expect(producer.sent).toHaveLength(1);
    expect(producer.sent[0]).toMatchObject({
      id: 'one',
      message: {
        from: { address: 'x@example.com' },
        to: [{ address: 'a@example.net' }],
        attachments: [{ filename: 'a.bin', content: content.toString('base64'), encoding: 'base64' }],
      },
    });
  });

  test('fails as its script says, and then accepts', async () => {
    const producer = createRecordingProducer({
      script: ['redis-unavailable', { fail: 'redis-unacknowledged', stored: true }, 'accept'],
    });
    expect(await rejection(producer.send({ ...message, id: 'm' }))).toMatchObject({
      code: 'redis-unavailable',
      id: 'm',
    });
    expect(producer.sent).toEqual([]);
    const lost = await rejection(producer.send({ ...message, id: 'm' }));
    expect(lost).toMatchObject({ code: 'redis-unacknowledged', id: 'm' });
    expect(await producer.send({ ...message, id: 'm' })).toEqual({ id: 'm', duplicate: true });
    expect(producer.sent.map(({ id }) => id)).toEqual(['m']);
  });

  test('an invalid message takes no step of the script', async () => {
    const producer = createRecordingProducer({ script: ['redis-refused'] });
    expect((await rejection(producer.send({ to: 'nobody' }))).code).toBe('message-invalid');
    expect((await rejection(producer.send(message))).code).toBe('redis-refused');
  });

  test('report() sets what status() and waitFor() answer', async () => {
    const producer = createRecordingProducer();
    onTestFinished(() => producer.close());
    const { id } = await producer.send(message);
    const waiting = producer.waitFor(id);
    producer.report(id, { state: 'sent', connector: 'relay' });
    expect(await waiting).toMatchObject({
      state: 'sent',
      connector: 'relay',
      recipients: [{ address: 'a@example.net', outcome: 'accepted' }],
    });
    expect(await producer.cancel(id)).toBe(false);
    expect(() => producer.report('unknown', { state: 'sent' })).toThrow(/No message/);
  });
});
