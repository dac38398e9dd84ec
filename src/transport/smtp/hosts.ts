/**
 * Several hosts of one connector: at which of them a new session is opened. A host that cannot be used is left for the next one before
 * MAIL, so nothing of a message has been said to it; all workers leave it out for a time.
 */
import { authority } from '../proxy.ts';
import { SmtpFailure, type MissedHost } from './failure.ts';
import type { HostMemory } from './lease-provider.ts';

export interface SmtpHost {
  readonly host: string;
  readonly port: number;
  /** The part of new sessions that it gets, beside the others; null: it is tried in its place. */
  readonly weight: number | null;
}

export const noMemory: HostMemory = {
  away: () => Promise.resolve(new Set<string>()),
  failed: () => Promise.resolve(),
};

/** Of settings that name one host or several: those, the first of which is `host`. */
export function hostsOf({
  host,
  port,
  hosts = [],
}: {
  readonly host: string;
  readonly port: number;
  readonly hosts?: readonly SmtpHost[];
}): readonly SmtpHost[] {
  return hosts.length > 0 ? hosts : [{ host, port, weight: null }];
}

/** `host:port`. */
export function hostName({ host, port }: Pick<SmtpHost, 'host' | 'port'>): string {
  return authority(host, port);
}

/**
 * The order in which hosts are tried: as written, or by chance where one has a weight (a host without one has weight 1 then). Those that are
 * away come last: they are tried only where all others fail. `random`: 0 to 1.
 */
export function inTurn(
  hosts: readonly SmtpHost[],
  away: ReadonlySet<string>,
  random: () => number,
): readonly SmtpHost[] {
  const isAway = (each: SmtpHost): boolean => away.has(hostName(each));
  const ordered = hosts.some(({ weight }) => weight !== null) ? byWeight(hosts, random) : hosts;
  return [...ordered.filter((each) => !isAway(each)), ...ordered.filter(isAway)];
}

/** Each place is drawn among those that are left. */
function byWeight(hosts: readonly SmtpHost[], random: () => number): readonly SmtpHost[] {
  const left = [...hosts];
  const drawn: SmtpHost[] = [];
  while (left.length > 0) {
    let place = random() * left.reduce((sum, { weight }) => sum + (weight ?? 1), 0);
    const at = left.findIndex(({ weight }) => (place -= weight ?? 1) < 0);
    drawn.push(...left.splice(at < 0 ? left.length - 1 : at, 1));
  }
  return drawn;
}

/** Rejects as `open` does for the last host, or for one whose failure is not of the host alone. `open` is told of those before. */
export async function openAtOne<Session>(
  hosts: readonly SmtpHost[],
  { memory, random }: { readonly memory: HostMemory; readonly random: () => number },
  signal: AbortSignal,
  open: (host: SmtpHost, missed: readonly MissedHost[]) => Promise<Session>,
): Promise<Session> {
  const [only] = hosts;
  if (hosts.length === 1 && only !== undefined) return open(only, []);
  const turn = inTurn(hosts, await memory.away(), random);
  const missed: MissedHost[] = [];
  for (const [i, host] of turn.entries()) {
    const startedAt = Date.now();
    try {
      return await open(host, missed);
    } catch (error) {
      if (!(error instanceof SmtpFailure)) throw error;
      if (!isOfHost(error) || signal.aborted) throw error.with({ missed });
      await memory.failed(hostName(host));
      if (i === turn.length - 1) throw error.last(hostName(host), missed);
      missed.push({ startedAt, endedAt: Date.now(), failure: error });
    }
  }
  throw new Error('no host');
}

/** A login that is refused is refused at every host: asking on would lock the account. */
function isOfHost({ phase }: SmtpFailure): boolean {
  return phase !== 'auth';
}
