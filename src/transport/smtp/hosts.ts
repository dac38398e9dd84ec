/**
 * Several hosts of one connector: at which of them a new session is opened. A host that cannot be used is left for the next one before
 * MAIL, so nothing of a message has been said to it; all workers leave it out for a time.
 */
import { authority } from '../proxy.ts';
import { SmtpFailure, type MissedHost } from './failure.ts';
import type { HostMemory, HostStanding } from './lease-provider.ts';

export interface SmtpHost {
  readonly host: string;
  readonly port: number;
  /** The part of new sessions that it gets, beside the others; null: it is tried in its place. */
  readonly weight: number | null;
}

export const noMemory: HostMemory = {
  ask: () => Promise.resolve('free'),
  failed: () => Promise.resolve(),
  works: () => Promise.resolve(),
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

/** The order in which hosts are tried: as written, or by chance where one has a weight (a host without one has weight 1 then). `random`: 0 to 1. */
export function inTurn(hosts: readonly SmtpHost[], random: () => number): readonly SmtpHost[] {
  return hosts.some(({ weight }) => weight !== null) ? byWeight(hosts, random) : hosts;
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

/**
 * Hosts that are away come last: they are tried only where all others fail. Of them, those that another worker tries now come first: their
 * time is over, and the others may cost a long wait. Rejects as `open` does for the last host, or for one whose
 * failure is not of the host alone. `open` is told of those that were tried before.
 */
export async function openAtOne<Session>(
  hosts: readonly SmtpHost[],
  { memory, random }: { readonly memory: HostMemory; readonly random: () => number },
  signal: AbortSignal,
  open: (host: SmtpHost, missed: readonly MissedHost[]) => Promise<Session>,
): Promise<Session> {
  const [only] = hosts;
  if (hosts.length === 1 && only !== undefined) return open(only, []);
  const missed: MissedHost[] = [];
  /** null: it could not be used. */
  const tryAt = async (host: SmtpHost, standing: HostStanding): Promise<Session | null> => {
    const startedAt = Date.now();
    try {
      const session = await open(host, missed);
      if (standing !== 'free') await memory.works(hostName(host));
      return session;
    } catch (error) {
      if (!(error instanceof SmtpFailure)) throw error;
      if (!isOfHost(error) || signal.aborted) throw error.with({ missed });
      await memory.failed(hostName(host));
      missed.push({ startedAt, endedAt: Date.now(), failure: error });
      return null;
    }
  };
  const [probed, away]: [SmtpHost[], SmtpHost[]] = [[], []];
  for (const host of inTurn(hosts, random)) {
    const standing = await memory.ask(hostName(host));
    if (standing === 'away') away.push(host);
    else if (standing === 'probed') probed.push(host);
    else {
      const session = await tryAt(host, standing);
      if (session !== null) return session;
    }
  }
  for (const host of [...probed, ...away]) {
    const session = await tryAt(host, 'away');
    if (session !== null) return session;
  }
  const last = missed.pop();
  throw last === undefined ? new Error('no host') : last.failure.last(missed);
}

/** A login that is refused is refused at every host: asking on would lock the account. */
function isOfHost({ phase }: SmtpFailure): boolean {
  return phase !== 'auth';
}
