/** The recording transport: the contract, and its script. */
import { describe, expect, it } from 'vitest';
import { createRecordingTransport, type RecordingStep } from '../../src/transport/recording.ts';
import { transportContract, type Scene } from './transport-contract.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';

const reply = { code: null, enhancedCode: null, text: null };
const steps: Readonly<Record<Scene, RecordingStep>> = {
  accepts: 'accepted',
  'refuses-all': 'rejected',
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

transportContract('recording', {
  setup: async (scene) => {
    // Nothing is reached, so nothing can be unreachable before the fence.
    if (scene === 'unreachable') return null;
    const transport = createRecordingTransport({ script: [steps[scene]] });
    return { transport, begun: () => transport.mails.length };
  },
});

describe('the recording transport', () => {
  it('plays its script one step per send, and then accepts', async () => {
    const transport = createRecordingTransport({ script: ['deferred', 'rejected'] });
    const said = [];
    for (const id of ['1', '2', '3']) said.push(summary(await sendBy(transport, mailOf({ id }))));
    expect(said).toEqual(['deferred', 'rejected', 'accepted']);
    expect(transport.mails.map(({ id }) => id)).toEqual(['1', '2', '3']);
  });

  it('never throws: a step that fails defers everybody', async () => {
    const transport = createRecordingTransport({ script: [() => Promise.reject(new Error('mistake'))] });
    expect(summary(await sendBy(transport, mailOf()))).toBe('deferred');
  });

  it('answers check() as told', async () => {
    const check = { ok: false, fault: 'auth', reply } as const;
    expect(await createRecordingTransport({ check }).check(new AbortController().signal)).toEqual(check);
  });
});
