/** Mail servers with bad habits: each connector's server misbehaves in its own way, by the dice, and calms down when told. */
import { startSmtpServer, type SmtpAnswer, type SmtpContext, type SmtpServer } from '../../testkit/smtp/server.ts';
import type { Chance } from './chance.ts';
import type { Sink } from './sink.ts';

/** How often what goes wrong, as probabilities. */
export interface Habits {
  readonly id: string;
  /** Of each step from the greeting to DATA, and of the body. */
  readonly step: number;
  /** The message is taken, and the answer to the final dot never arrives. */
  readonly lostAnswer: number;
  /** The connection ends after the final dot, and the message is not taken. */
  readonly lostMessage: number;
  /** 4xx or 5xx to the message as a whole. */
  readonly refusedMessage: number;
  /** 4xx to a recipient, now. One in a hundred recipients is refused for ever. */
  readonly deferredRecipient: number;
  readonly auth: boolean;
  readonly onUncertain: 'retry' | 'hold';
}

const calm = { step: 0, lostAnswer: 0, lostMessage: 0, refusedMessage: 0, deferredRecipient: 0 };
const plain = { ...calm, auth: false, onUncertain: 'retry' } as const;

export const habits: readonly [Habits, ...Habits[]] = [
  { ...plain, id: 'calm', step: 0.001 },
  { ...plain, id: 'flaky', step: 0.02, lostAnswer: 0.01, lostMessage: 0.01 },
  { ...plain, id: 'lossy', step: 0.002, lostAnswer: 0.06, lostMessage: 0.03 },
  {
    ...plain,
    id: 'careful',
    deferredRecipient: 0.03,
    refusedMessage: 0.03,
    step: 0.005,
    lostAnswer: 0.03,
    lostMessage: 0.02,
    onUncertain: 'hold',
  },
  { ...plain, id: 'picky', refusedMessage: 0.05, deferredRecipient: 0.1 },
  { ...plain, id: 'locked', step: 0.003, deferredRecipient: 0.03, lostAnswer: 0.01, auth: true },
];

export const login = { user: 'soak', password: 'right' };

export interface MailServers {
  readonly ports: Readonly<Record<string, number>>;
  /** Refuses connections for a time. */
  vanish(id: string): Promise<void>;
  comeBack(id: string): Promise<void>;
  /** Refuses every login while it lasts. */
  lock(id: string, locked: boolean): void;
  /** From now on all of them behave. */
  calmDown(): Promise<void>;
  stop(): Promise<void>;
}

export async function startServers(chance: Chance, sink: Sink): Promise<MailServers> {
  const servers = new Map<string, SmtpServer>();
  const ports: Record<string, number> = {};
  const locked = new Set<string>();
  let quiet = false;
  const start = async (habit: Habits): Promise<void> => {
    const port = ports[habit.id];
    const script = scriptOf(habit, chance, sink, { quiet: () => quiet, locked: () => locked.has(habit.id) });
    const auth = habit.auth ? { auth: login } : {};
    const server = await startSmtpServer({ script, ...auth, ...(port === undefined ? {} : { port }) });
    servers.set(habit.id, server);
    ports[habit.id] = server.port;
  };
  for (const habit of habits) await start(habit);
  const habitOf = (id: string): Habits => habits.find((habit) => habit.id === id) ?? habits[0];
  // What was in the messages; the lists are emptied, as a long soak would fill the memory with them.
  const collect = (): void => {
    for (const { received } of servers.values()) {
      for (const { to, bytes } of received.transactions.splice(0)) sink.content(to, bytes);
      received.commands.length = 0;
    }
  };
  const collecting = setInterval(collect, 500);
  const vanish = async (id: string): Promise<void> => {
    collect();
    await servers.get(id)?.stop();
    servers.delete(id);
  };
  const comeBack = async (id: string): Promise<void> => {
    if (!servers.has(id)) await start(habitOf(id));
  };
  return {
    ports,
    vanish,
    comeBack,
    lock: (id, on) => void (on ? locked.add(id) : locked.delete(id)),
    async calmDown() {
      quiet = true;
      locked.clear();
      for (const { id } of habits) await comeBack(id);
      // Sessions in the middle of a hang would keep their workers for seconds.
      for (const server of servers.values()) server.dropConnections();
    },
    async stop() {
      clearInterval(collecting);
      collect();
      await Promise.all([...servers.values()].map((server) => server.stop()));
    },
  };
}

interface Mood {
  readonly quiet: () => boolean;
  readonly locked: () => boolean;
}

type Script = Record<string, (context: SmtpContext) => SmtpAnswer | undefined>;

function scriptOf(habit: Habits, chance: Chance, sink: Sink, mood: Mood): Script {
  const name = habit.id;
  const step = (verb: string) => (): SmtpAnswer | undefined => {
    if (mood.quiet() || !chance.is(`${name} ${verb}`, habit.step)) return undefined;
    return chance.pick<SmtpAnswer>(`${name} ${verb} how`, [
      'close',
      'reset',
      'hang',
      '421 4.3.2 going down',
      '451 4.3.0 not now',
      '550 5.3.0 never',
      'this is no reply at all',
      '250-cut\n2',
      { trickle: '250-still thinking', everyMs: 100 },
    ]);
  };
  return {
    CONNECT: step('CONNECT'),
    EHLO: step('EHLO'),
    MAIL: step('MAIL'),
    DATA: step('DATA'),
    BODY: () => {
      if (mood.quiet() || !chance.is(`${name} BODY`, habit.step)) return undefined;
      return chance.pick<SmtpAnswer>(`${name} BODY how`, ['close', 'reset', 'hang']);
    },
    AUTH: () => (mood.locked() ? '535 5.7.8 the password is wrong' : step('AUTH')()),
    RCPT: ({ line }) => {
      const address = /<([^>]+)>/.exec(line)?.[1] ?? '';
      // For ever: it hangs on the address alone.
      if (habit.deferredRecipient > 0 && /^t\d*99\.0@/.test(address)) {
        return '550 5.1.1 nobody here has that name';
      }
      if (mood.quiet()) return undefined;
      if (chance.is(address, habit.deferredRecipient)) return '450 4.2.0 not now';
      return step('RCPT')();
    },
    '.': ({ to }) => {
      const about = `${name} . ${to.join()}`;
      const fate = mood.quiet() ? 1 : chance.next(about);
      const silence = (): SmtpAnswer => chance.pick<SmtpAnswer>(`${about} how`, ['close', 'reset', 'hang']);
      const { lostMessage, lostAnswer, refusedMessage } = habit;
      if (fate < lostMessage) return silence();
      if (fate < lostMessage + refusedMessage) {
        return chance.pick<SmtpAnswer>(`${about} how`, ['451 4.3.0 not now', '452 4.3.0 busy', '554 5.6.0 no thanks']);
      }
      sink.take(name, to);
      return fate < lostMessage + refusedMessage + lostAnswer ? silence() : undefined;
    },
  };
}
