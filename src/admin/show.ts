/** What an operator is shown, as JSON: the same for the API and the command line. Times are RFC 3339 in UTC. */
import { shownTime } from '../errors.ts';
import type { LanePause } from '../queue/lanes/pause.ts';
import type { AuditEntry } from './audit.ts';
import type { ConnectorRow } from './connector-row.ts';
import type { DeadGroup } from './dead-groups.ts';
import type { DeadPreview } from './dead-preview.ts';
import type { Operation } from './operations.ts';

export function connectorJson(row: ConnectorRow) {
  const { faults, fallback, suspect, pause } = row;
  return {
    ...row,
    pause: pause === null ? null : pauseJson(pause),
    waitingUntil: time(row.waitingUntil),
    faults: faults.map((fault) => ({ ...fault, since: time(fault.since), until: time(fault.until) })),
    fallback: fallback === null ? null : { ...fallback, since: time(fallback.since) },
    suspect: suspect === null ? null : { ...suspect, since: shownTime(suspect.since) },
    oldestWaitingAt: time(row.oldestWaitingAt),
    nextDeadlineAt: time(row.nextDeadlineAt),
    credentialExpiresAt: time(row.credentialExpiresAt),
  };
}

export function pauseJson({ by, reason, at, until }: LanePause) {
  return { by, reason, at: time(at), until: time(until) };
}

export function operationJson(operation: Operation) {
  const { startedAt, updatedAt, endedAt, until, ...rest } = operation;
  return {
    ...rest,
    startedAt: shownTime(startedAt),
    updatedAt: shownTime(updatedAt),
    endedAt: time(endedAt),
    until: shownTime(until),
  };
}

export function auditJson({ at, ...entry }: AuditEntry) {
  return { ...entry, at: shownTime(at) };
}

export function groupJson({ firstAt, lastAt, ...group }: DeadGroup) {
  return { ...group, firstAt: shownTime(firstAt), lastAt: shownTime(lastAt) };
}

export function previewJson({ samples, ...preview }: DeadPreview) {
  return {
    ...preview,
    samples: samples.map(({ at, form: _form, held: _held, ...letter }) => ({ ...letter, at: shownTime(at) })),
  };
}

function time(ms: number | null): string | null {
  return ms === null ? null : shownTime(ms);
}
