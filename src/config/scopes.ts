/** What a token may do: the closed list of scopes, and the roles that stand for several of them. */

/** Scope → what it allows. `docs/api.md` has the same table; a test compares the two. */
export const scopeMeanings = {
  'messages:send': 'Submit messages, and send one again.',
  'messages:read': 'Find messages, and read their state and events.',
  'messages:cancel': 'Cancel a message, or send a scheduled one now.',
  'content:read': 'Read what a message says.',
  'dead:read': 'List dead letters, and preview what a replay would do.',
  'dead:write': 'Replay and drop dead letters, settle held messages, and watch, pace and stop such operations.',
  'connectors:read': 'List connectors, routes and statistics.',
  'connectors:write': 'Pause, resume and try a connector, and send a test message through a chosen one.',
  'suppressions:write': 'List, add and remove suppressed addresses.',
  'audit:read': 'Read who changed what.',
} as const;

export type Scope = keyof typeof scopeMeanings;

export const scopes = Object.keys(scopeMeanings) as [Scope, ...Scope[]];

const viewer: readonly Scope[] = ['messages:read', 'dead:read', 'connectors:read'];
const operator: readonly Scope[] = [
  ...viewer,
  'messages:cancel',
  'dead:write',
  'connectors:write',
  'suppressions:write',
];

/** Role → its scopes. */
export const roles = {
  viewer,
  operator,
  content: [...operator, 'content:read'],
  admin: scopes,
} as const satisfies Readonly<Record<string, readonly Scope[]>>;
