/** Postfix with `sender_dependent_relayhost_maps`, the part of it that does what Postlane does. */
import { startPostfix } from '../../../testkit/postfix.ts';
import { startChild } from '../child.ts';
import type { Contender } from '../contender.ts';
import { sinkPart } from '../contenders.ts';
import { connectorId } from '../mail.ts';
import type { Disposables } from '../../../testkit/disposables.ts';
import type { Sink } from '../sink.ts';

/** Fed by the bare SMTP client; timed from the first message at the sink to the last, like every other peer. */
export async function postfix(disposables: Disposables, sink: Sink): Promise<Contender> {
  const senders = Array.from({ length: 10 }, (_, nth) => `@${connectorId(nth)}.bench.test=[127.0.0.1]:${sink.port}`);
  const { pid, ports } = disposables.add(
    await startPostfix({
      listeners: { gateway: [] },
      settings: () => [
        'myhostname = bench.test',
        `sender_dependent_relayhost_maps = inline:{ ${senders.join(', ')} }`,
        'default_destination_concurrency_limit = 50',
        'initial_destination_concurrency = 20',
      ],
    }),
  );
  const feeder = disposables.add(await startChild('peers/wire.ts', { port: ports['gateway'] }));
  await feeder.ask('tune', 20);
  return {
    name: 'Postfix',
    ours: false,
    store: null,
    parts: [{ role: 'sender', pid, tree: true }, { role: 'feeder', pid: feeder.pid }, sinkPart(sink)],
    async lap(messages, begins) {
      await begins();
      return sink.lap(messages, () => feeder.ask('send', messages));
    },
    tuning: null,
  };
}
