/** Postfix' smtpd with its queue: it accepts mail and syncs it to disk, and sends none of it. */
import { startPostfix } from '../../../testkit/postfix.ts';
import type { Disposables } from '../../../testkit/disposables.ts';
import { startChild } from '../child.ts';
import type { Contender } from '../contender.ts';

/** `connections`: of the client at once. Every message is held, so no delivery takes from the time. */
export async function postfixQueue(disposables: Disposables, connections: number): Promise<Contender> {
  const { pid, ports } = disposables.add(
    await startPostfix({
      listeners: { submission: [] },
      settings: () => ['myhostname = bench.test', 'smtpd_sender_restrictions = check_sender_access static:HOLD'],
    }),
  );
  const feeder = disposables.add(await startChild('peers/wire.ts', { port: ports['submission'], waits: true }));
  await feeder.ask('tune', connections);
  return {
    name: "Postfix' smtpd",
    ours: false,
    store: null,
    parts: [
      { role: 'sender', pid, tree: true },
      { role: 'feeder', pid: feeder.pid },
    ],
    async lap(messages, begins) {
      await begins();
      const startedAt = performance.now();
      await feeder.ask('send', messages);
      return { messages, ms: performance.now() - startedAt };
    },
    tuning: null,
  };
}
