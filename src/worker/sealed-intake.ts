/** Jobs of the intake under encryption: those whose key is not here wait, plain ones are sealed, or refused where that is asked for. */
import type { Issue } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { encodeWire, isSealedData, readIntakeData, sealData, type Submission } from '../queue/jobs.ts';
import type { IntakeJob } from '../queue/lanes/intake.ts';
import type { Sealing } from '../sealing/sealing.ts';
import { connectorFor, type Routing } from './routes.ts';
import type { SealingTools } from './sealing-tools.ts';

interface KeyTools extends Pick<SealingTools, 'keyAlarm' | 'putOff'> {
  readonly routing: () => Routing;
  readonly now: () => number;
}

/** It waits for a worker that has the key, or for the key. → the time (ms) before which it is not looked at again. */
export async function untilKey(
  id: string,
  key: string,
  { data }: Pick<IntakeJob, 'data'>,
  { routing, keyAlarm, putOff, now }: KeyTools,
): Promise<{ readonly notBefore: number }> {
  const { from } = readIntakeData(data);
  const found = connectorFor(from === null ? {} : { from: { address: from } }, { kind: 'new' }, routing());
  const notBefore = now() + keyAlarm.waitMs(key);
  const others = await putOff(null, data, notBefore);
  keyAlarm.missing({ id, key, connector: 'why' in found ? null : found.connector, others });
  return { notBefore };
}

/** What is wrong with a job that is not sealed, where all have to be. */
export function unsealedIssue(data: unknown, { seal, required }: Sealing): Issue | null {
  if (seal === null || !required || isSealedData(data)) return null;
  const message = 'is not sealed, and encryption.require is set; the client that enqueued it has no key';
  return { field: '', rule: 'encryption-required', message };
}

/** The data that takes the place of what a client without a key has enqueued; '' if it stays as it is. */
export function sealedText(
  data: unknown,
  { id, message, ...submission }: Submission & { readonly id: string; readonly message: Message },
  sealing: Sealing,
): string {
  if (sealing.seal === null || isSealedData(data)) return '';
  return JSON.stringify(sealData(encodeWire(message, submission), id, sealing));
}
