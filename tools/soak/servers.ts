/** Mail servers that fail at random: each connector's server has its own fault rates, and behaves when told to. */
import { startSmtpServer, type SmtpAnswer, type SmtpContext, type SmtpServer } from '../../testkit/smtp/server.ts';
import type { DeliveryLog } from './delivery-log.ts';
import { foreverRefused, quirksOf, recipientOf, type Quirk, type Refusing } from './quirks.ts';
import type { SeededRandom } from './seeded-random.ts';

/** How often each fault happens, as probabilities. */
export interface ServerProfile {
  readonly id: string;
  /** A fault at a step from the greeting to DATA, or in the body. */
  readonly step: number;
  /** The message is accepted, and the reply to the end of data never arrives. */
  readonly lostReply: number;
  /** The connection ends after the end of data, and the message is not accepted. */
  readonly lostMessage: number;
  /** 4xx or 5xx to the message as a whole. */
  readonly refusedMessage: number;
  /** 4xx to a recipient, once. Above 0, one recipient in a hundred is also refused for good. */
  readonly deferredRecipient: number;
  readonly auth: boolean;
  /** What it does again and again, beside its random faults. */
  readonly quirks: readonly Quirk[];
  readonly onUncertain: 'retry' | 'hold';
}

const calm = { step: 0, lostReply: 0, lostMessage: 0, refusedMessage: 0, deferredRecipient: 0 };
const plain = { ...calm, auth: false, quirks: [], onUncertain: 'retry' } as const;

export const profiles: readonly [ServerProfile, ...ServerProfile[]] = [
  { ...plain, id: 'calm', step: 0.001 },
  { ...plain, id: 'flaky', step: 0.02, lostReply: 0.01, lostMessage: 0.01 },
  { ...plain, id: 'lossy', step: 0.002, lostReply: 0.06, lostMessage: 0.03 },
  {
    ...plain,
    id: 'careful',
    deferredRecipient: 0.03,
    refusedMessage: 0.03,
    step: 0.005,
    lostReply: 0.03,
    lostMessage: 0.02,
    onUncertain: 'hold',
  },
  { ...plain, id: 'picky', refusedMessage: 0.05, deferredRecipient: 0.1 },
  { ...plain, id: 'limited', quirks: ['limits'], step: 0.003, lostReply: 0.02, deferredRecipient: 0.02 },
  { ...plain, id: 'locked', step: 0.003, deferredRecipient: 0.03, lostReply: 0.01, auth: true },
  { ...plain, id: 'poisoned', quirks: ['refused recipients'] },
  { ...plain, id: 'outage', quirks: ['outages'] },
  { ...plain, id: 'strict', quirks: ['strict rate'] },
  { ...plain, id: 'quirky', quirks: ['closes at a recipient', 'refuses 8BITMIME', 'short sessions'] },
];

/** Whether the server refuses none of these recipients for good: none of them may be a dead letter `rejected`. */
export function takesAll(to: readonly string[]): boolean {
  const profile = profiles.find(({ id }) => to[0]?.endsWith(`@${id}.sink.test`) === true);
  if (profile === undefined || profile.step + profile.refusedMessage + profile.deferredRecipient > 0) return false;
  return !to.some((address) => foreverRefused(profile, address)?.startsWith('5') === true);
}

export const login = { user: 'soak', password: 'right' };

export interface MailServers {
  readonly ports: Readonly<Record<string, number>>;
  /** Refuses connections for a time. */
  vanish(id: string): Promise<void>;
  comeBack(id: string): Promise<void>;
  /** Refuses every login while it lasts. */
  lock(id: string, locked: boolean): void;
  /** Refuses every recipient while it lasts, with 550 and words that no rule knows; only with the quirk `outages`. */
  refuseAll(id: string, refusing: boolean): void;
  refusesAll(id: string): boolean;
  /** From now on no server fails. */
  recover(): Promise<void>;
  stop(): Promise<void>;
}

export async function startServers(random: SeededRandom, deliveries: DeliveryLog): Promise<MailServers> {
  const servers = new Map<string, SmtpServer>();
  const ports: Record<string, number> = {};
  const locked = new Set<string>();
  const refusing = new Set<string>();
  let quiet = false;
  const start = async (profile: ServerProfile): Promise<void> => {
    const port = ports[profile.id];
    const script = scriptOf(profile, random, deliveries, {
      quiet: () => quiet,
      locked: () => locked.has(profile.id),
      refusesAll: () => refusing.has(profile.id),
    });
    const auth = profile.auth ? { auth: login } : {};
    const server = await startSmtpServer({ script, ...auth, ...(port === undefined ? {} : { port }) });
    servers.set(profile.id, server);
    ports[profile.id] = server.port;
  };
  for (const profile of profiles) await start(profile);
  const profileOf = (id: string): ServerProfile => profiles.find((profile) => profile.id === id) ?? profiles[0];
  // What was in the messages; the lists are emptied, as a long soak would fill the memory with them.
  const collect = (): void => {
    for (const { received } of servers.values()) {
      for (const { to, bytes } of received.transactions.splice(0)) deliveries.addContent(to, bytes);
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
    if (!servers.has(id)) await start(profileOf(id));
  };
  return {
    ports,
    vanish,
    comeBack,
    lock: (id, on) => void (on ? locked.add(id) : locked.delete(id)),
    refuseAll: (id, on) => void (on ? refusing.add(id) : refusing.delete(id)),
    refusesAll: (id) => refusing.has(id),
    async recover() {
      quiet = true;
      locked.clear();
      refusing.clear();
      for (const { id } of profiles) await comeBack(id);
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

interface ServerState extends Refusing {
  readonly locked: () => boolean;
}

type Script = Record<string, (context: SmtpContext) => SmtpAnswer | undefined>;

function scriptOf(profile: ServerProfile, random: SeededRandom, deliveries: DeliveryLog, state: ServerState): Script {
  const name = profile.id;
  const quirks = quirksOf(profile, state);
  const step = (verb: string) => (): SmtpAnswer | undefined => {
    if (state.quiet() || !random.is(`${name} ${verb}`, profile.step)) return undefined;
    return random.pick<SmtpAnswer>(`${name} ${verb} how`, [
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
    MAIL: (context) => quirks.mail(context) ?? step('MAIL')(),
    DATA: step('DATA'),
    BODY: () => {
      if (state.quiet() || !random.is(`${name} BODY`, profile.step)) return undefined;
      return random.pick<SmtpAnswer>(`${name} BODY how`, ['close', 'reset', 'hang']);
    },
    AUTH: () => (state.locked() ? '535 5.7.8 the password is wrong' : step('AUTH')()),
    RCPT: (context) => {
      const quirk = quirks.rcpt(context);
      if (quirk !== undefined) return quirk;
      const address = recipientOf(context.line);
      if (state.quiet()) return undefined;
      if (random.is(address, profile.deferredRecipient)) return '450 4.2.0 not now';
      return step('RCPT')();
    },
    '.': ({ to }) => {
      const about = `${name} . ${to.join()}`;
      const fate = state.quiet() ? 1 : random.next(about);
      const silence = (): SmtpAnswer => random.pick<SmtpAnswer>(`${about} how`, ['close', 'reset', 'hang']);
      const { lostMessage, lostReply, refusedMessage } = profile;
      if (fate < lostMessage) return silence();
      if (fate < lostMessage + refusedMessage) {
        return random.pick<SmtpAnswer>(`${about} how`, ['451 4.3.0 not now', '452 4.3.0 busy', '554 5.6.0 no thanks']);
      }
      deliveries.add(name, to);
      return fate < lostMessage + refusedMessage + lostReply ? silence() : undefined;
    },
  };
}
