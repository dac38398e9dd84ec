/** The `ui` section: what the dashboard shows, and whom a proxy may sign in. */
import { z } from 'zod';
import { noSenderLimits } from './sender-limits.ts';
import type { ApiToken } from './api.ts';
import type { Problem } from './issues.ts';
import type { Network } from './networks.ts';
import { roles } from './scopes.ts';
import * as value from './values.ts';

type Role = keyof typeof roles;

/** Fields that a client sends for itself, or that say who sent a request and how: none of them names a user. */
const takenFields =
  /^(?:accept(?:-.*)?|authorization|connection|content-.*|cookie|forwarded|from|host|origin|referer|sec-.*|transfer-encoding|user-agent|x-forwarded-(?:for|host|proto))$/;

/** RFC 9110 section 5.1, without what gateways change: `_` becomes `-` in some of them. */
const headerName = value.textAs('header-name', (text): value.Reading<string> =>
  /^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(text) && !takenFields.test(text.toLowerCase())
    ? { value: text }
    : { must: 'must be the name of a header field of letters, digits and -, which browsers do not send by themselves' },
);

const trustedHeader = z
  .strictObject({
    name: headerName
      .prefault('X-Forwarded-User')
      .describe('Header field in which a proxy names the user whom it has signed in.'),
    proxies: z
      .array(value.network)
      .default([])
      .describe(
        'Addresses or networks of the proxies that are believed. They must remove the field from what clients send.',
      ),
    roles: z
      .record(
        z.string(),
        z
          .enum(Object.keys(roles) as [Role, ...Role[]])
          .describe('Role of the user; `"*"` is every other user. Who has no role signs in with a token.'),
      )
      .default({}),
  })
  .prefault({});

export const ui = z
  .strictObject({
    maskRecipients: z
      .boolean()
      .default(false)
      .describe('Shows recipients as `j…n@example.net`, in replies of servers, too.'),
    trustedHeader,
  })
  .prefault({})
  .describe('The dashboard of `postlane serve`.');

export interface UiSettings {
  readonly maskRecipients: boolean;
  readonly trustedHeader: {
    readonly name: string;
    readonly proxies: readonly Network[];
    readonly roles: Readonly<Record<string, Role>>;
  };
}

const prefix = 'user:';
/** Of a name: what can stand in a log and an audit without being encoded. A comma would be two fields in one. */
const userName = /^[\w.@+=/\\:|~-]{1,128}$/;
const anyUser = '*';

/** Whom a proxy has signed in, as a token that stands in no file; null if the user has no role. No token has a `:` in its id. */
export function proxiedUser({ roles: given }: UiSettings['trustedHeader'], name: string): ApiToken | null {
  if (!userName.test(name)) return null;
  const role = Object.hasOwn(given, name) ? given[name] : Object.hasOwn(given, anyUser) ? given[anyUser] : undefined;
  if (role === undefined) return null;
  const scopes = new Set(roles[role]);
  return {
    id: `${prefix}${name}`,
    sha256: '',
    scopes,
    from: null,
    ratePerMinute: null,
    quota: noSenderLimits,
    expiresAt: null,
  };
}

/** Whether the user would still be signed in. null: the token is one of the file. */
export function isStillProxied(settings: UiSettings['trustedHeader'], { id }: Pick<ApiToken, 'id'>): boolean | null {
  return id.startsWith(prefix) ? proxiedUser(settings, id.slice(prefix.length)) !== null : null;
}

/** Takes the data of the file; the schema reports invalid values itself. */
export function uiProblems(section: unknown): Problem[] {
  const { trustedHeader: header } = Object(section) as { trustedHeader?: unknown };
  const { roles: given, proxies } = Object(header) as { roles?: unknown; proxies?: unknown };
  const has = (list: unknown): boolean => typeof list === 'object' && list !== null && Object.keys(list).length > 0;
  if (!has(given) || has(proxies)) return [];
  const message = 'is without effect: name in `proxies` the proxies whose header counts';
  return [{ path: ['ui', 'trustedHeader', 'roles'], rule: 'trusted-header', message, on: 'key' }];
}
