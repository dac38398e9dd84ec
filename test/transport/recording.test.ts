/** The recording transport: the contract, and its script. */
import { describe, expect, test } from 'vitest';
import {
  createRecordingTransport,
  transportContract,
  type ContractScene,
  type RecordingStep,
} from '../../src/testing.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';

const reply = { code: null, enhancedCode: null, text: null };
const steps: Readonly<Record<ContractScene, RecordingStep>> = {
  accepts: 'accepted',
  'refuses-all': 'open',
  'not-now': 'deferred',
  'silent-after-body': 'uncertain',
  'second-refused': (mail) => ({
    kind: 'settled',
    recipients: mail.envelope.to.map((address, index) => ({
      address,
      outcome: index === 1 ? 'rejected' : 'accepted',
      scope: 'recipient',
      reply,
    })),
  }),
  unreachable: { kind: 'connector-fault', fault: 'unreachable', reply },
};

transportContract(
  'recording',
  async (scene) => {
    const transport = createRecordingTransport({ script: [steps[scene]] });
    return { transport, begun: () => transport.mails.length };
  },
  // Nothing is reached, so nothing can be unreachable before the fence.
  { harness: { describe, test }, unsupported: ['unreachable'] },
);

describe('the recording transport', () => {
  test('plays its script one step per send, and then accepts everything', async () => {
    const transport = createRecordingTransport({ script: ['deferred', 'rejected'] });
    const said = [];
    for (const id of ['1', '2', '3']) said.push(summary(await sendBy(transport, mailOf({ id }))));
    expect(said).toEqual(['deferred', 'rejected', 'accepted']);
    expect(transport.mails.map(({ id }) => id)).toEqual(['1', '2', '3']);
  });

  test('never rejects: a step that throws defers every recipient', async () => {
    const transport = createRecordingTransport({ script: [() => Promise.reject(new Error('mistake'))] });
    expect(summary(await sendBy(transport, mailOf()))).toBe('deferred');
  });

  test('returns the configured result from check()', async () => {
    const check = { ok: false, fault: 'auth', reply } as const;
    expect(await createRecordingTransport({ check }).check(new AbortController().signal)).toEqual(check);
  });
});
