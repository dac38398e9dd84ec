/** Holds the public surface: what `import … from 'postlane'` gives. A change here is a change for every user. */
import { expect, test } from 'vitest';
import * as surface from '../../src/index.ts';
import { textOf } from '../support/source.ts';

test('the package exports these values and no others', () => {
  expect(Object.keys(surface).sort()).toEqual([
    'PostlaneError',
    'createProducer',
    'createRecordingTransport',
    'errorCodes',
  ]);
});

test('the package exports these types and no others', () => {
  const names = [...textOf('src/index.ts').matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, all, list = '']) =>
    list
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '' && (all !== undefined || name.startsWith('type ')))
      .map((name) => name.replace('type ', '')),
  );
  expect(names.sort()).toEqual([
    'CheckResult',
    'Envelope',
    'ErrorCode',
    'FaultClass',
    'Issue',
    'Mailbox',
    'MessageLimits',
    'MessageStatus',
    'OutboundMessage',
    'Outcome',
    'OutgoingMail',
    'Producer',
    'ProducerOptions',
    'RecipientOutcome',
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
    'Transport',
    'Verification',
    'VerifyContext',
  ]);
});
