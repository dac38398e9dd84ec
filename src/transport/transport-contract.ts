/**
 * The promises that every transport keeps, as a suite for any test runner: the author of a transport calls it with a way
 * to set each scene. Assertions are those of `node:assert`.
 */
import assert from 'node:assert/strict';
import type { Outcome, OutgoingMail, Transport } from './transport.ts';

/**
 * What the server does with the mail. `second-refused`: it refuses the second of several recipients for good.
 * `silent-after-body`: it takes the whole mail and never answers.
 */
export type ContractScene =
  | 'accepts'
  | 'second-refused'
  | 'refuses-all'
  | 'not-now'
  | 'silent-after-body'
  | 'unreachable';

/** A transport in a scene. */
export interface ContractSetup {
  readonly transport: Transport;
  /** How many mails the server has begun to receive. */
  readonly begun: () => number;
  /** Releases what the scene holds. Called after each case, passed or failed. */
  readonly close?: () => Promise<void> | void;
}

type DefineTest = (name: string, run: () => Promise<void>) => unknown;

/** `describe` and `test` of vitest, node:test, Jest, or any runner that takes them in this form. */
export interface ContractHarness {
  readonly describe: (name: string, define: () => void) => unknown;
  readonly test: DefineTest & { readonly skip?: DefineTest };
}

export interface ContractOptions {
  /** Where the cases are defined. Default: the globals `describe` and `test`, as Jest has them. */
  readonly harness?: ContractHarness;
  /** Scenes that this transport cannot be in. Their cases are skipped. */
  readonly unsupported?: readonly ContractScene[];
}

const mail: OutgoingMail = {
  id: 'contract',
  envelope: { from: 'sales@example.com', to: ['a@example.net', 'b@example.net', 'c@example.net'] },
  bytes: Buffer.from('Subject: contract\r\n\r\nhello\r\n'),
};
const accepted = ['accepted', 'accepted', 'accepted'];
const outcomesByScene: readonly (readonly [ContractScene, readonly string[]])[] = [
  ['accepts', accepted],
  ['second-refused', ['accepted', 'rejected', 'accepted']],
  ['refuses-all', ['rejected', 'rejected', 'rejected']],
  ['not-now', ['deferred', 'deferred', 'deferred']],
  ['silent-after-body', ['uncertain', 'uncertain', 'uncertain']],
];

/** Defines the suite. `make` sets a scene up anew for each case. */
export function transportContract(
  name: string,
  make: (scene: ContractScene) => Promise<ContractSetup>,
  { harness = globalHarness(), unsupported = [] }: ContractOptions = {},
): void {
  const { describe, test } = harness;
  const define: DefineCase = (title, scene, run) => {
    const define = unsupported.includes(scene) ? (test.skip ?? (() => undefined)) : test;
    define(title, async () => {
      const setup = await make(scene);
      try {
        await run(setup);
      } finally {
        await setup.transport.close();
        await setup.close?.();
      }
    });
  };
  describe(`${name} keeps the promises of a transport`, () => {
    fenceCases(define);
    outcomeCases(define);
    closeCases(define);
  });
}

type DefineCase = (title: string, scene: ContractScene, run: (setup: ContractSetup) => Promise<void>) => void;

function fenceCases(define: DefineCase): void {
  define('asks the fence once, before anything of the mail is on the wire', 'accepts', async ({ transport, begun }) => {
    const begunAtFence: number[] = [];
    const fence = async (): Promise<boolean> => begunAtFence.push(begun()) > 0;
    await transport.send(mail, { signal: never(), fence });
    assert.deepEqual(begunAtFence, [0]);
    assert.equal(begun(), 1);
  });

  define('sends nothing when the fence says no, and sends the next mail', 'accepts', async ({ transport, begun }) => {
    const stopped = await transport.send(mail, { signal: never(), fence: async () => false });
    assert.deepEqual(stopped, { kind: 'stopped', why: 'fence' });
    assert.equal(begun(), 0);
    assert.deepEqual(outcomes(await transport.send(mail, { signal: never(), fence: yes })), accepted);
  });

  define('sends nothing when the fence fails', 'accepts', async ({ transport, begun }) => {
    const fence = (): Promise<boolean> => Promise.reject(new Error('Redis is away'));
    assert.deepEqual(await transport.send(mail, { signal: never(), fence }), { kind: 'stopped', why: 'fence' });
    assert.equal(begun(), 0);
  });

  define('sends nothing, and asks no fence, after the signal', 'accepts', async ({ transport, begun }) => {
    let asked = 0;
    const fence = async (): Promise<boolean> => ++asked > 0;
    const outcome = await transport.send(mail, { signal: AbortSignal.abort(), fence });
    assert.deepEqual(outcome, { kind: 'stopped', why: 'signal' });
    assert.deepEqual([asked, begun()], [0, 0]);
  });

  define('sends nothing when the signal comes during the fence', 'accepts', async ({ transport, begun }) => {
    const stop = new AbortController();
    const fence = async (): Promise<boolean> => {
      stop.abort();
      return true;
    };
    const outcome = await transport.send(mail, { signal: stop.signal, fence });
    assert.deepEqual(outcome, { kind: 'stopped', why: 'signal' });
    assert.equal(begun(), 0);
  });
}

function outcomeCases(define: DefineCase): void {
  for (const [scene, expected] of outcomesByScene) {
    const title = `reports every recipient once, in the order of the envelope: ${scene}`;
    define(title, scene, async ({ transport }) => {
      const outcome = await transport.send(mail, { signal: never(), fence: yes });
      assert.deepEqual(outcomes(outcome), expected);
      const addresses = outcome.kind === 'settled' ? outcome.recipients.map(({ address }) => address) : [];
      assert.deepEqual(addresses, mail.envelope.to);
      // What the server took in the same attempt speaks for the connector.
      const open = outcome.kind === 'settled' ? outcome.recipients.filter((each) => each.open !== undefined) : [];
      assert.ok(open.length === 0 || !expected.includes('accepted'), 'open beside an accepted recipient');
      assert.ok(
        open.every(({ outcome: own }) => own === 'deferred' || own === 'rejected'),
        'open, but not refused',
      );
    });
  }

  define('reports one outcome for an address that the envelope has twice', 'accepts', async ({ transport }) => {
    const twice = { ...mail, envelope: { from: 'x@example.com', to: ['a@example.net', 'a@example.net'] } };
    assert.deepEqual(outcomes(await transport.send(twice, { signal: never(), fence: yes })), ['accepted']);
  });

  define('blames the connector, and asks no fence, if the server is unreachable', 'unreachable', async (setup) => {
    const { transport, begun } = setup;
    let asked = 0;
    const fence = async (): Promise<boolean> => ++asked > 0;
    const outcome = await transport.send(mail, { signal: never(), fence });
    assert.equal(outcome.kind, 'connector-fault');
    assert.equal(outcome.kind === 'connector-fault' && outcome.fault, 'unreachable');
    assert.deepEqual([asked, begun()], [0, 0]);
    const check = await transport.check(never());
    assert.equal(check.ok ? 'ok' : check.fault, 'unreachable');
  });

  define('reaches the server with check(), and sends nothing', 'accepts', async ({ transport, begun }) => {
    assert.equal((await transport.check(never())).ok, true);
    assert.equal(begun(), 0);
  });
}

function closeCases(define: DefineCase): void {
  define('lets running sends finish before close() resolves, and refuses new ones', 'accepts', async (setup) => {
    const { transport, begun } = setup;
    const permission = Promise.withResolvers<boolean>();
    const atFence = Promise.withResolvers<'asked'>();
    const fence = (): Promise<boolean> => {
      atFence.resolve('asked');
      return permission.promise;
    };
    const events: string[] = [];
    const sending = (async () => {
      const outcome = await transport.send(mail, { signal: never(), fence });
      events.push('sent');
      return outcome;
    })();
    const first = await Promise.race([atFence.promise, sending.then(() => 'ended')]);
    assert.equal(first, 'asked', 'send() ended without asking the fence');
    const closing = (async () => {
      await transport.close();
      events.push('closed');
    })();
    const refused = await transport.send(mail, { signal: never(), fence: yes });
    assert.deepEqual(refused, { kind: 'stopped', why: 'signal' });
    permission.resolve(true);
    assert.deepEqual(outcomes(await sending), accepted);
    await closing;
    assert.deepEqual(events, ['sent', 'closed']);
    assert.equal(begun(), 1);
  });

  define('can be closed twice', 'accepts', async ({ transport }) => {
    await transport.close();
    await transport.close();
  });
}

function never(): AbortSignal {
  return new AbortController().signal;
}

async function yes(): Promise<boolean> {
  return true;
}

function outcomes(outcome: Outcome): string[] {
  return outcome.kind === 'settled' ? outcome.recipients.map((recipient) => recipient.outcome) : [outcome.kind];
}

function globalHarness(): ContractHarness {
  const { describe, test } = globalThis as Partial<ContractHarness>;
  if (describe !== undefined && test !== undefined) return { describe, test };
  throw new Error('there is no global describe() and test(): pass { harness: { describe, test } } of your test runner');
}
