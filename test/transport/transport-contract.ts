/** The promises that every transport keeps, as a suite: each transport's test calls it with its own way to set the scene. */
import { describe, expect, it } from 'vitest';
import type { Outcome, OutgoingMail, Transport } from '../../src/transport/transport.ts';

/** What the far side does with the mail of a scene. `second-refused`: of several recipients the second is refused for good. */
export type Scene = 'accepts' | 'second-refused' | 'refuses-all' | 'not-now' | 'silent-after-body' | 'unreachable';

interface TransportScene {
  readonly transport: Transport;
  /** How many mails have begun to be on the wire. */
  readonly begun: () => number;
}

export interface TransportContract {
  /** Sets a scene; its resources end with the test (`onTestFinished`). Null if this transport cannot show it. */
  readonly setup: (scene: Scene) => Promise<TransportScene | null>;
}

const mail: OutgoingMail = {
  id: 'contract',
  envelope: { from: 'sales@example.com', to: ['a@example.net', 'b@example.net', 'c@example.net'] },
  bytes: Buffer.from('Subject: contract\r\n\r\nhello\r\n'),
};
const never = (): AbortSignal => new AbortController().signal;
const yes = (): Promise<boolean> => Promise.resolve(true);

function outcomes(outcome: Outcome): string[] {
  return outcome.kind === 'settled' ? outcome.recipients.map((recipient) => recipient.outcome) : [outcome.kind];
}

export function transportContract(name: string, { setup }: TransportContract): void {
  const scene = async (which: Scene, skip: () => never): Promise<TransportScene> => (await setup(which)) ?? skip();

  describe(`${name} keeps the promises of a transport`, () => {
    it('asks the fence once, before anything of the mail is on the wire', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      const begunAtFence: number[] = [];
      await transport.send(mail, {
        signal: never(),
        fence: () => {
          begunAtFence.push(begun());
          return Promise.resolve(true);
        },
      });
      expect(begunAtFence).toEqual([0]);
      expect(begun()).toBe(1);
    });

    it('sends nothing when the fence says no, and can send the next mail', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      const stopped = await transport.send(mail, { signal: never(), fence: () => Promise.resolve(false) });
      expect(stopped).toEqual({ kind: 'stopped', why: 'fence' });
      expect(begun()).toBe(0);
      expect(outcomes(await transport.send(mail, { signal: never(), fence: yes }))).toEqual(Array(3).fill('accepted'));
    });

    it('sends nothing when the fence fails', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      const fence = (): Promise<boolean> => Promise.reject(new Error('Redis is away'));
      expect(await transport.send(mail, { signal: never(), fence })).toEqual({ kind: 'stopped', why: 'fence' });
      expect(begun()).toBe(0);
    });

    it('sends nothing when the signal came before, and does not ask the fence', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      let asked = 0;
      const fence = (): Promise<boolean> => Promise.resolve(++asked > 0);
      expect(await transport.send(mail, { signal: AbortSignal.abort(), fence })).toEqual({
        kind: 'stopped',
        why: 'signal',
      });
      expect([asked, begun()]).toEqual([0, 0]);
    });

    it('sends nothing when the signal comes while the fence is asked', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      const stop = new AbortController();
      const fence = (): Promise<boolean> => {
        stop.abort();
        return Promise.resolve(true);
      };
      expect(await transport.send(mail, { signal: stop.signal, fence })).toEqual({ kind: 'stopped', why: 'signal' });
      expect(begun()).toBe(0);
    });

    it.for<[Scene, string[]]>([
      ['accepts', ['accepted', 'accepted', 'accepted']],
      ['second-refused', ['accepted', 'rejected', 'accepted']],
      ['refuses-all', ['rejected', 'rejected', 'rejected']],
      ['not-now', ['deferred', 'deferred', 'deferred']],
      ['silent-after-body', ['uncertain', 'uncertain', 'uncertain']],
    ])('reports every recipient once, in the order of the envelope: %s', async ([which, expected], { skip }) => {
      const { transport } = await scene(which, skip);
      const outcome = await transport.send(mail, { signal: never(), fence: yes });
      expect(outcomes(outcome)).toEqual(expected);
      expect(outcome.kind === 'settled' && outcome.recipients.map(({ address }) => address)).toEqual(mail.envelope.to);
    });

    it('reports one outcome for an address that the envelope names twice', async ({ skip }) => {
      const { transport } = await scene('accepts', skip);
      const twice = { ...mail, envelope: { from: 'x@example.com', to: ['a@example.net', 'a@example.net'] } };
      expect(outcomes(await transport.send(twice, { signal: never(), fence: yes }))).toEqual(['accepted']);
    });

    it('blames the connector, and asks no fence, when it cannot be reached', async ({ skip }) => {
      const { transport, begun } = await scene('unreachable', skip);
      let asked = 0;
      const fence = (): Promise<boolean> => Promise.resolve(++asked > 0);
      const outcome = await transport.send(mail, { signal: never(), fence });
      expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable' });
      expect([asked, begun()]).toEqual([0, 0]);
      expect(await transport.check(never())).toMatchObject({ ok: false, fault: 'unreachable' });
    });

    it('finds with check() that all is well, and sends nothing', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      expect(await transport.check(never())).toMatchObject({ ok: true });
      expect(begun()).toBe(0);
    });

    it('lets running sends finish before close() resolves, and refuses new ones', async ({ skip }) => {
      const { transport, begun } = await scene('accepts', skip);
      let release = (): void => undefined;
      const held = new Promise<boolean>((resolve) => {
        release = () => resolve(true);
      });
      let fenced = (): void => undefined;
      const atFence = new Promise<void>((resolve) => {
        fenced = resolve;
      });
      const fence = (): Promise<boolean> => {
        fenced();
        return held;
      };
      const events: string[] = [];
      const sending = transport.send(mail, { signal: never(), fence }).then((outcome) => {
        events.push('sent');
        return outcome;
      });
      await atFence;
      const closing = transport.close().then(() => events.push('closed'));
      expect(await transport.send(mail, { signal: never(), fence: yes })).toEqual({ kind: 'stopped', why: 'signal' });
      release();
      expect(outcomes(await sending)).toEqual(Array(3).fill('accepted'));
      await closing;
      expect(events).toEqual(['sent', 'closed']);
      expect(begun()).toBe(1);
      await transport.close();
    });
  });
}
