/** The words, shapes and colours of states: of connectors, messages and recipients. */
import type { ConnectorRow } from '../../admin/connector-row.ts';
import type { ConnectorState } from '../../admin/trouble.ts';
import type { Bounce, LedgerState, RecipientState } from '../../queue/ledger/ledger.ts';
import type { Gate } from './drawings.ts';
import type { Mark } from './parts.ts';

const mark = (family: Mark['family'], icon: string, word: string): Mark => ({ family, icon, word });

export const connectorMarks: Readonly<Record<ConnectorState, Mark>> = {
  fault: mark('bad', 'fault', 'fault'),
  suspect: mark('wait', 'deferred', 'set aside'),
  quota: mark('wait', 'day', 'quota used'),
  paused: mark('idle', 'pause', 'paused'),
  slowed: mark('wait', 'slow', 'slowed down'),
  retrying: mark('wait', 'deferred', 'waiting to retry'),
  limited: mark('idle', 'rate', 'at its limit'),
  sending: mark('move', 'go', 'sending'),
  idle: mark('idle', 'idle', 'idle'),
  incoming: mark('idle', 'idle', 'only receives'),
};

const faultWords: Readonly<Record<string, string>> = {
  unreachable: 'unreachable',
  tls: 'certificate not trusted',
  auth: 'login refused',
  throttled: 'throttled',
  quota: 'quota of the server used',
  blocked: 'blocked by the server',
  config: 'configuration refused',
};

/** The kind of a fault is its word. */
export function markOf({ state, faults }: Pick<ConnectorRow, 'state' | 'faults'>): Mark {
  const kind = state === 'fault' ? faults[0]?.fault : undefined;
  const word = kind === undefined ? undefined : faultWords[kind];
  return word === undefined ? connectorMarks[state] : { ...connectorMarks[state], word };
}

export function gateOf(state: ConnectorState): Gate {
  if (state === 'fault') return 'fault';
  if (state === 'paused') return 'paused';
  return state === 'quota' || state === 'slowed' || state === 'suspect' ? 'held' : 'open';
}

export const messageMarks: Readonly<Record<LedgerState, Mark>> = {
  queued: mark('idle', 'queued', 'queued'),
  scheduled: mark('idle', 'scheduled', 'scheduled'),
  sending: mark('move', 'sending', 'sending'),
  deferred: mark('wait', 'deferred', 'deferred'),
  sent: mark('ok', 'accepted', 'sent'),
  partial: mark('bad', 'partial', 'partial'),
  held: mark('doubt', 'held', 'held'),
  dead: mark('bad', 'dead', 'dead'),
  cancelled: mark('idle', 'cancelled', 'cancelled'),
};

/** What came back after a server had taken the mail. */
export const bounceMarks: Readonly<Record<Bounce['action'], Mark>> = {
  failed: mark('bad', 'rejected', 'came back'),
  delayed: mark('wait', 'deferred', 'delayed on its way'),
};

export const outcomeMarks: Readonly<Record<RecipientState['outcome'], Mark>> = {
  pending: mark('idle', 'pending', 'pending'),
  accepted: mark('ok', 'accepted', 'accepted'),
  deferred: mark('wait', 'deferred', 'deferred'),
  rejected: mark('bad', 'rejected', 'rejected'),
  uncertain: mark('doubt', 'uncertain', 'uncertain'),
  redirected: mark('ok', 'accepted', 'redirected'),
  suppressed: mark('idle', 'cancelled', 'suppressed'),
};
