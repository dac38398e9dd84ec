/** What of a configuration ends by itself: credentials of connectors, certificates of listeners, tokens of the API. It is warned of before. */
import type { Config } from './config.ts';
import { certificateEndOf, endOfCertificate } from './credential-end.ts';
import { keyOf, type Path, type Problem } from './issues.ts';

interface Ending {
  readonly path: Path;
  /** ms since the epoch. */
  readonly endsAt: number;
}

/** Something that ends soon, or has ended. */
export interface EndingSoon extends Ending {
  /** As the file names it: `connectors.sales.expires`. */
  readonly key: string;
  /** Whole days that are left; below 0 once it has ended. */
  readonly days: number;
}

const dayMs = 86_400_000;
/** Time for someone to be back from a holiday, and to ask those who issue it. */
const warnedDays = 28;

function endingsOf({ connectors, api, submission }: Config): Ending[] {
  const ofConnectors = connectors.flatMap(({ id, transport, credentialEndsAt: endsAt }): Ending[] => {
    if (endsAt === null) return [];
    const isCertificate = certificateEndOf(transport) === endsAt;
    const place = transport?.kind === 'graph' ? ['graph'] : ['smtp', 'auth', 'oauth2'];
    const path = isCertificate ? [...place, 'credential', 'certificate'] : ['expires'];
    return [{ path: ['connectors', id, ...path], endsAt }];
  });
  const listeners: [Path, string][] = submission.listeners.flatMap(({ tls }, at): [Path, string][] =>
    tls === null ? [] : [[['submission', 'listeners', at, 'tls', 'cert'], tls.cert]],
  );
  const certificates: [Path, string][] = [...(api.tls === null ? [] : [apiCertificate(api.tls.cert)]), ...listeners];
  const ofListeners = certificates.flatMap(([path, pem]): Ending[] => {
    const endsAt = endOfCertificate(pem);
    return endsAt === null ? [] : [{ path, endsAt }];
  });
  const ofTokens = api.tokens.flatMap(({ expiresAt }, at): Ending[] =>
    expiresAt === null ? [] : [{ path: ['api', 'tokens', at, 'expires'], endsAt: expiresAt }],
  );
  return [...ofConnectors, ...ofListeners, ...ofTokens];
}

function apiCertificate(pem: string): [Path, string] {
  return [['api', 'tls', 'cert'], pem];
}

/** What ends within four weeks, or has ended, the first end first. */
export function endingSoon(config: Config, now: number): EndingSoon[] {
  return endingsOf(config)
    .map((ending) => ({ ...ending, key: keyOf(ending.path), days: Math.floor((ending.endsAt - now) / dayMs) }))
    .filter(({ days }) => days < warnedDays)
    .sort((a, b) => a.endsAt - b.endsAt);
}

export function endingProblems(config: Config, now: number): Problem[] {
  return endingSoon(config, now).map(({ path, endsAt, days }) => {
    const on = new Date(endsAt).toISOString().slice(0, 10);
    const left = days < 1 ? 'within a day' : `in ${days} ${days === 1 ? 'day' : 'days'}`;
    const when = endsAt <= now ? `has ended, on ${on}` : `ends ${left}, on ${on}`;
    return { path, rule: 'ends-soon', message: `${when}: make a new one and put it here`, on: 'value' };
  });
}
