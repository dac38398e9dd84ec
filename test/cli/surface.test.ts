/** Holds the public surface: what each entry point of the package gives. A change here is a change for every user. */
import { describe, expect, test } from 'vitest';
import * as main from '../../src/index.ts';
import * as outbox from '../../src/outbox.ts';
import * as testing from '../../src/testing.ts';
import { filesUnder, textOf } from '../support/source.ts';

describe('postlane', () => {
  test('exports these values and no others', () => {
    expect(Object.keys(main).sort()).toEqual(['PostlaneError', 'createProducer', 'errorCodes']);
  });

  test('exports these types and no others', () => {
    expect(exportedTypes('src/index.ts')).toEqual([
      'AlternativeInput',
      'AttemptEntry',
      'Bounce',
      'CalendarEventInput',
      'CallOptions',
      'DsnInput',
      'EncryptionKeys',
      'EnvelopeInput',
      'ErrorCode',
      'HistoryEntry',
      'Importance',
      'InlineAttachment',
      'InlineContent',
      'Issue',
      'ListUnsubscribeInput',
      'MailboxInput',
      'MessageIdList',
      'MessageLimits',
      'MessageState',
      'MessageStatus',
      'OutboundMessage',
      'Priority',
      'Producer',
      'ProducerOptions',
      'ProducerRedis',
      'RecipientState',
      'RedisSentinel',
      'RedisSettings',
      'RedisTls',
      'SendManyResult',
      'SendOptions',
      'SendResult',
      'StoredAttachment',
      'StoredContent',
      'TimeInput',
      'TriedRecipient',
      'WaitOptions',
    ]);
  });

  test('documents every property of a message', () => {
    const bare = [...textOf('src/message/outbound.ts').matchAll(/^(?!.*\*\/).*\n +readonly (\w+)\??:/gm)];
    expect(bare.map(([, name]) => name)).toEqual([]);
  });
});

describe('postlane/outbox', () => {
  test('exports these values and types, and no others', () => {
    expect(Object.keys(outbox).sort()).toEqual(['outboxInsert', 'outboxMigration', 'outboxNotifyMigration']);
    expect(exportedTypes('src/outbox.ts')).toEqual(['OutboxInsert', 'OutboxInsertOptions']);
  });
});

describe('postlane/testing', () => {
  test('exports these values and no others', () => {
    expect(Object.keys(testing).sort()).toEqual([
      'createRecordingProducer',
      'createRecordingTransport',
      'transportContract',
    ]);
  });

  test('exports these types and no others', () => {
    expect(exportedTypes('src/testing.ts')).toEqual([
      'Alternative',
      'Attachment',
      'AttemptSpan',
      'AttemptTrace',
      'CalendarEvent',
      'CheckResult',
      'Content',
      'ContractHarness',
      'ContractOptions',
      'ContractScene',
      'ContractSetup',
      'Dsn',
      'DsnEvent',
      'DsnRequest',
      'Envelope',
      'FaultClass',
      'Importance',
      'ListUnsubscribe',
      'Mailbox',
      'Message',
      'MessageLimits',
      'MissingRight',
      'OpenRefusal',
      'Outcome',
      'OutgoingMail',
      'Priority',
      'RecipientOutcome',
      'RecordedMessage',
      'RecordingProducer',
      'RecordingProducerOptions',
      'RecordingStep',
      'RecordingTransport',
      'RecordingTransportOptions',
      'Reply',
      'Reservation',
      'Scope',
      'SendContext',
      'SendFailure',
      'SendStep',
      'SenderCheck',
      'StopReason',
      'Structured',
      'Transport',
      'Verification',
      'VerifyContext',
    ]);
  });
});

test.each(['src/index.ts', 'src/testing.ts'])(
  'every type that an exported type of %s mentions is exported too',
  (path) => {
    const exported = exportedTypes(path);
    const known = new Set([...exported, ...exportedTypes('src/index.ts')]);
    const declared = declarations();
    const missing = exported.flatMap((name) =>
      mentioned(declared.get(name) ?? '')
        .filter((other) => declared.has(other) && !known.has(other))
        .map((other) => `${name} mentions ${other}`),
    );
    expect(missing).toEqual([]);
  },
);

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
