/** Reads each connector leniently for the rules between keys, so that one mistake does not hide another. */
import { unreachable } from '../errors.ts';
import type { Connector, Direction } from '../routing/connector.ts';
import type { SmtpSecurity } from '../transport/smtp/settings.ts';
import type { Path } from './issues.ts';
import { addressPattern } from './values.ts';

/** A connector as far as it could be read; null for a value that is missing or invalid. */
export interface PartialConnector {
  readonly id: string;
  readonly path: Path;
  readonly direction: Direction | null;
  readonly patterns: readonly { readonly pattern: string; readonly path: Path }[];
  /** An address or the direction could not be read, so what the connector matches is unknown. */
  readonly unclear: boolean;
  readonly hasIncoming: boolean;
  readonly hasGraph: boolean;
  readonly smtp: PartialSmtp | null;
}

interface PartialSmtp {
  readonly security: SmtpSecurity;
  readonly port: number | null;
  readonly hasAuth: boolean;
  readonly allowInsecureAuth: boolean;
}

export function readPartialConnectors(data: Record<string, unknown>): PartialConnector[] {
  return Object.entries(mapOf(data['connectors']) ?? {}).flatMap(([id, value]) => {
    const map = mapOf(value);
    return map === null ? [] : [readConnector(id, map)];
  });
}

/** The connectors whose direction could be read, for the route table. */
export function routable(connectors: readonly PartialConnector[]): Connector[] {
  return connectors.flatMap(({ id, direction, patterns }) =>
    direction === null ? [] : [{ id, direction, addresses: patterns.map(({ pattern }) => pattern) }],
  );
}

/** Port 465 is implicit TLS (RFC 8314 section 3.3); at any other port a server is expected to offer STARTTLS. */
export function securityFor(port: number | null): SmtpSecurity {
  return port === 465 ? 'tls' : 'starttls';
}

/** 587 is submission (RFC 6409); relays inside a network speak plain text on 25. */
export function portFor(security: SmtpSecurity): number {
  switch (security) {
    case 'tls':
      return 465;
    case 'starttls':
      return 587;
    case 'none':
      return 25;
    default:
      return unreachable(security);
  }
}

function readConnector(id: string, map: Record<string, unknown>): PartialConnector {
  const path = ['connectors', id];
  const written = [
    ...('address' in map ? [{ text: map['address'], path: [...path, 'address'] }] : []),
    ...(Array.isArray(map['addresses']) ? (map['addresses'] as unknown[]) : []).map((text, at) => ({
      text,
      path: [...path, 'addresses', at],
    })),
  ];
  const patterns = written.flatMap(({ text, path }) => {
    const parsed = addressPattern.safeParse(text);
    return parsed.success ? [{ pattern: parsed.data, path }] : [];
  });
  const direction = oneOf(['incoming', 'outgoing', 'both'] as const, map['direction']);
  const readable = 'addresses' in map ? Array.isArray(map['addresses']) : true;
  const smtp = mapOf(map['smtp']);
  return {
    id,
    path,
    direction,
    patterns,
    unclear: direction === null || !readable || patterns.length < written.length,
    hasIncoming: 'incoming' in map,
    hasGraph: 'graph' in map,
    smtp: smtp === null ? null : readSmtp(smtp),
  };
}

function readSmtp(map: Record<string, unknown>): PartialSmtp {
  const port = typeof map['port'] === 'number' ? map['port'] : null;
  return {
    security: oneOf(['tls', 'starttls', 'none'] as const, map['security']) ?? securityFor(port),
    port,
    hasAuth: 'auth' in map,
    allowInsecureAuth: map['allowInsecureAuth'] === true,
  };
}

function oneOf<T extends string>(values: readonly T[], value: unknown): T | null {
  return values.find((each) => each === value) ?? null;
}

function mapOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
