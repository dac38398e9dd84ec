/** Holds the public surface: what `import … from 'postlane'` gives. A change here is a change for every user. */
import { describe, expect, test } from 'vitest';
import * as surface from '../../src/index.ts';
import { filesUnder, textOf } from '../support/source.ts';

test('the package exports these values and no others', () => {
  expect(Object.keys(surface).sort()).toEqual([
    'PostlaneError',
    'createProducer',
    'createRecordingTransport',
    'errorCodes',
  ]);
});

describe('types', () => {
  test('the package exports these types and no others', () => {
    expect(exportedTypes('src/index.ts')).toEqual([
      'Attachment',
      'CallOptions',
      'CheckResult',
      'Content',
      'Envelope',
      'EnvelopeInput',
      'ErrorCode',
      'FaultClass',
      'HistoryEntry',
      'InlineAttachment',
      'InlineContent',
      'Issue',
      'Mailbox',
      'MailboxInput',
      'Message',
      'MessageIdList',
      'MessageLimits',
      'MessageState',
      'MessageStatus',
      'OutboundMessage',
      'Outcome',
      'OutgoingMail',
      'Priority',
      'Producer',
      'ProducerOptions',
      'ProducerRedis',
      'RecipientOutcome',
      'RecipientState',
      'RecordingStep',
      'RecordingTransport',
      'RedisSentinel',
      'RedisSettings',
      'RedisTls',
      'Reply',
      'Reservation',
      'Scope',
      'SendContext',
      'SendManyResult',
      'SendResult',
      'StopReason',
      'StoredAttachment',
      'StoredContent',
      'Structured',
      'TimeInput',
      'Transport',
      'Verification',
      'VerifyContext',
      'WaitOptions',
    ]);
  });

  test('every type that an exported type mentions is exported too', () => {
    const exported = exportedTypes('src/index.ts');
    const declared = declarations();
    const missing = exported.flatMap((name) =>
      mentioned(declared.get(name) ?? '')
        .filter((other) => declared.has(other) && !exported.includes(other))
        .map((other) => `${name} mentions ${other}`),
    );
    expect(missing).toEqual([]);
  });

  test('every property of an exported type that is a message’s is documented', () => {
    const bare = [...textOf('src/message/outbound.ts').matchAll(/^(?!.*\*\/).*\n +readonly (\w+)\??:/gm)];
    expect(bare.map(([, name]) => name)).toEqual([]);
  });
});

/** Names in `export type { … }` and after `type` in `export { … }`, in order. */
function exportedTypes(path: string): string[] {
  return [...textOf(path).matchAll(/export (type )?\{([^}]*)\}/g)]
    .flatMap(([, all, list = '']) =>
      list
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '' && (all !== undefined || name.startsWith('type ')))
        .map((name) => name.replace('type ', '')),
    )
    .sort();
}

/** Name → text of each type that a room below the public surface exports, without comments. */
function declarations(): Map<string, string> {
  const rooms = ['producer', 'message', 'transport', 'queue'].flatMap((room) => filesUnder(`src/${room}`));
  const declared = new Map<string, string>();
  for (const path of ['src/errors.ts', ...rooms]) {
    const code = textOf(path).replace(/^ *\/\*[\s\S]*?\*\/\n|\/\/.*/gm, '');
    // The formatter ends an interface with a brace, and an alias with a semicolon, before a line at the margin.
    for (const [text, name = ''] of code.matchAll(/^export (?:interface|type) (\w+)[\s\S]*?[};]\n(?=\S|\s*\n|$)/gm)) {
      if (!declared.has(name)) declared.set(name, text);
    }
  }
  return declared;
}

/** Type names in a declaration. One that only gives another type a name of ours mentions nothing. */
function mentioned(text: string): string[] {
  const [, name, body = ''] = /(?:interface|type) (\w+)([\s\S]*)/.exec(text) ?? [];
  if (/^ = \w+;\s*$/.test(body)) return [];
  return [...new Set(body.match(/\b[A-Z]\w+/g))].filter((other) => other !== name);
}
