/** The producer's question for room: how often it is asked, and what an answer is good for. */
import { describe, expect, test } from 'vitest';
import { acceptMessage } from '../../src/producer/accept.ts';
import { createAdmission } from '../../src/producer/admission.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import type { RoomAnswer } from '../../src/queue/room.ts';
import { rejection } from '../support/rejection.ts';

const mebibyte = 1_048_576;

/** `free` bytes of 1 GiB. */
const room = (freeBytes: number): RoomAnswer => ({
  usedBytes: 800 * mebibyte - freeBytes,
  maxBytes: 1_024 * mebibyte,
  reservedBytes: 224 * mebibyte,
  freeBytes,
});

function setUp(answer: RoomAnswer) {
  const state = { answer, looks: 0, now: 0 };
  const look = async (): Promise<RoomAnswer> => {
    state.looks += 1;
    return state.answer;
  };
  const admit = createAdmission(look, () => state.now, 20);
  const { message } = acceptMessage({ id: 'm', to: 'a@example.net', text: 'x' }, defaultMessageLimits);
  const of = (bytes: number) => ({ ...message, text: 'x'.repeat(bytes) });
  return { state, admit: async (bytes = 1) => admit('m', of(bytes)) };
}

describe('the room of Redis', () => {
  test.each(['unlimited', room(500 * mebibyte)] as const)(
    'is asked for once by a thousand messages at once, and again after a second',
    async (answer) => {
      const { state, admit } = setUp(answer);
      await Promise.all(Array.from({ length: 1_000 }, () => admit()));
      expect(state.looks).toBe(1);
      state.now = 999;
      await admit();
      expect(state.looks).toBe(1);
      state.now = 1_000;
      await admit();
      expect(state.looks).toBe(2);
    },
  );

  test('is asked for again within the second once an eighth of it may be used up', async () => {
    const { state, admit } = setUp(room(80 * mebibyte));
    for (let i = 0; i < 10; i += 1) await admit(mebibyte);
    expect(state.looks).toBe(1);
    await admit(mebibyte);
    await admit(mebibyte);
    expect(state.looks).toBe(2);
  });

  test('is not asked for by messages that are refused within the second; the first one after it is accepted if there is room', async () => {
    const { state, admit } = setUp(room(-1));
    for (let i = 0; i < 100; i += 1) expect((await rejection(admit())).code).toBe('redis-full');
    expect(state.looks).toBe(1);
    state.answer = room(80 * mebibyte);
    state.now = 1_000;
    await admit();
    expect(state.looks).toBe(2);
  });

  test('refuses the message that is larger than what is left, and takes the next one', async () => {
    const { admit } = setUp(room(10 * mebibyte));
    const refused = await rejection(admit(11 * mebibyte));
    expect(refused.message).toBe(
      'Redis has no room for new messages: 790.0 of 1024.0 MiB are used, and 224.0 MiB are kept for the messages that wait ' +
        '(redis.reserve: 20%). Call again later with the same id; if it lasts, start more workers, or give Redis more memory',
    );
    await admit(mebibyte);
  });

  test('that may not be asked for is asked for once a minute, and refuses nothing', async () => {
    const { state, admit } = setUp('hidden');
    await admit();
    state.now = 59_999;
    await admit(mebibyte);
    expect(state.looks).toBe(1);
    state.now = 60_000;
    await admit();
    expect(state.looks).toBe(2);
  });

  test('is asked for again by the next message where the question failed', async () => {
    let answers = 0;
    const admit = createAdmission(
      async () => {
        answers += 1;
        if (answers === 1) throw new Error('Connection is closed.');
        return 'unlimited';
      },
      () => 0,
      20,
    );
    const { message } = acceptMessage({ id: 'm', to: 'a@example.net', text: 'x' }, defaultMessageLimits);
    await expect(admit('m', message)).rejects.toThrow('Connection is closed.');
    await admit('m', message);
    expect(answers).toBe(2);
  });
});
