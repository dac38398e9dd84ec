/** Who uses the command line, for pauses, operations and the audit: the user of this machine. */
import { hostname, userInfo } from 'node:os';
import type { Actor } from '../admin/audit.ts';
import { maxReasonChars } from '../admin/audit.ts';
import { UsageError } from './failure.ts';

export function shellActor(): Actor {
  return { by: `${userName()}@${hostname()}`, through: 'cli', client: null };
}

/** In a container there may be a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}

/** A reason as it is kept: not empty, and not too long. */
export function checkedReason(text: string): string {
  const reason = text.trim();
  if (reason === '') throw new UsageError('--reason must not be empty');
  if (reason.length > maxReasonChars) throw new UsageError(`--reason may have ${maxReasonChars} characters`);
  return reason;
}
