/** Row: mail taken by SMTP, answered 250 when it is on disk, beside Postfix' smtpd; memory of 1,000 open sessions. */
import { startChild, type Child } from '../child.ts';
import { compare, type Contender } from '../contender.ts';
import { redisPart } from '../contenders.ts';
import type { Disposables } from '../../../testkit/disposables.ts';
import { harakaMissing } from '../../../testkit/mailservers/haraka.ts';
import { harakaPackages, harakaQueue } from '../peers/haraka.ts';
import { postfixQueue } from '../peers/postfix-queue.ts';
import { ratioOfMedians } from '../statistics.ts';
import { startStore } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

/** Of the client, at once. */
const connections = 20;
const sessions = 1_000;
/** A socket of Node with a session of smtp-server. */
const mostKbPerSession = 100;

export const submission: Row = {
  id: 'submission',
  title: "mail taken by SMTP, against Postfix' smtpd with its queue; memory of 1,000 open sessions",
  // Postfix comes with it.
  sink: true,
  async run({ sizes, disposables, progress }) {
    const always = await taking(disposables, 'always');
    const everysec = await taking(disposables, 'everysec');
    const peer = await postfixQueue(disposables, connections);
    const missingHaraka = harakaMissing(harakaPackages);
    const second = missingHaraka === null ? await harakaQueue(disposables, connections) : null;
    if (missingHaraka !== null) progress(`submission: without Haraka: ${missingHaraka}`);
    const figures = await compare([always.contender, everysec.contender, peer, ...(second === null ? [] : [second])], {
      lapMs: sizes.lapMs / 2,
      repetitions: sizes.repetitions,
      warmUp: sizes.warmUp / 2,
      lapMessages: sizes.lapMessages,
      most: 20_000,
      tune: false,
      progress,
    });
    const against = (name: string, fsync: string, target: number | null, other = peer): Finding => {
      const [ours, base] = [figures.get(name)!, figures.get(other.name)!];
      return finding(
        {
          what: `mail taken by SMTP, appendfsync ${fsync}, messages/s`,
          against: other === peer ? "Postfix' smtpd with its queue" : other.name,
          measured: ratioOfMedians(ours.samples, base.samples),
          unit: '×',
        },
        target === null ? null : { kind: 'at least', value: target },
        `${rates(ours)}, ${costs(ours)}, against ${rates(base)}, ${costs(base)}; ${connections} connections, one message at a time on each`,
      );
    };
    const kbPerSession = await memoryOf(await taking(disposables, 'everysec'));
    return {
      findings: [
        against(always.contender.name, 'always', 1),
        ...(second === null ? [] : [against(always.contender.name, 'always', null, second)]),
        against(everysec.contender.name, 'everysec', null),
        finding(
          {
            what: `memory of ${sessions} open sessions`,
            against: 'none',
            measured: (kbPerSession * sessions) / 1_000,
            unit: 'MB',
          },
          { kind: 'at most', value: (mostKbPerSession * sessions) / 1_000 },
          `${Math.round(kbPerSession)} KB for a session`,
        ),
      ],
      figures: [...figures.values()],
    };
  },
};

interface Taking {
  readonly contender: Contender;
  readonly server: Child;
  readonly feeder: Child;
}

async function taking(disposables: Disposables, fsync: 'always' | 'everysec'): Promise<Taking> {
  const store = disposables.add(await startStore(fsync));
  const server = disposables.add(await startChild('submission-serve.ts', { redisUrl: store.url }));
  const { port } = await server.ask<{ port: number }>('port');
  const feeder = disposables.add(await startChild('peers/wire.ts', { port, waits: true }));
  await feeder.ask('tune', connections);
  const contender: Contender = {
    name: `SMTP, fsync ${fsync}`,
    ours: true,
    store,
    parts: [{ role: 'sender', pid: server.pid }, redisPart(store), { role: 'feeder', pid: feeder.pid }],
    async lap(messages, begins) {
      await store.clear();
      await begins();
      const startedAt = performance.now();
      await feeder.ask('send', messages);
      return { messages, ms: performance.now() - startedAt };
    },
    tuning: null,
  };
  return { contender, server, feeder };
}

async function memoryOf({ server, feeder }: Taking): Promise<number> {
  // The first ones pay for what all share.
  await feeder.ask('tune', 100);
  await feeder.ask('send', 2_000);
  const before = (await server.ask<{ mb: number }>('memory')).mb;
  await feeder.ask('tune', sessions + 100);
  // Each session takes a message, so each has been used.
  await feeder.ask('send', sessions + 100);
  return (((await server.ask<{ mb: number }>('memory')).mb - before) * 1_000) / sessions;
}
