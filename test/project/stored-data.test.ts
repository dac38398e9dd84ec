/** docs/stored-data.md lists every key that src/queue/redis/keys.ts makes, and no others. */
import { expect, test } from 'vitest';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { textOf } from '../support/source.ts';

const listed = [...textOf('docs/stored-data.md').matchAll(/^\| (`:[^|]*) \|/gm)].flatMap(([, cell = '']) =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key),
);

/** Every key, with words in the place of ids, as the page writes them. */
function made(): string[] {
  const { prefix: _, wake: _w, sessionsChannel: _c, queue: _q, ...keys } = keysOf('');
  const words: Record<string, string[]> = {
    plan: ['CONNECTOR'],
    sessionsOf: ['CONNECTOR'],
    hostsAway: ['CONNECTOR'],
    connector: ['CONNECTOR'],
    attribution: ['CONNECTOR'],
    refusals: ['CONNECTOR'],
    connectorStats: ['CONNECTOR'],
    connectorWait: ['CONNECTOR'],
    connectorPause: ['CONNECTOR'],
    fallback: ['CONNECTOR'],
    guests: ['CONNECTOR'],
    keyHere: ['PRINT'],
    quota: ['CONNECTOR', 'KIND'],
    laneJob: ['CONNECTOR', 'ID'],
    turn: ['WORKER', 'NUMBER'],
    tokenRate: ['TOKEN'],
    stats: ['TIME'],
    connectorSlot: ['TIME'],
    find: ['SET'],
    idempotency: ['HASH'],
    content: ['SHA256'],
    loginUser: ['HASH'],
    loginAddress: ['HASH'],
    loginKnown: ['HASH'],
    contentRefs: ['SHA256'],
    contentStaged: ['SHA256', 'RUN'],
  };
  return Object.entries(keys).map(([name, key]) =>
    typeof key === 'string' ? key : (Reflect.apply(key, null, words[name] ?? ['ID']) as string),
  );
}

test('docs/stored-data.md lists every key, and no others', () => {
  const bullmq = [':outbound:…', ':lane-CONNECTOR:…', ':hook-ID:…'];
  expect(listed.filter((key) => !bullmq.includes(key)).toSorted()).toEqual(made().toSorted());
});
