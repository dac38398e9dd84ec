/** Maintenance of dead letters: those that exceed their age or number go, the oldest first. */
import { decodeIntake } from '../../queue/jobs.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import { page, type MaintenanceTools } from './tools.ts';

export async function trimDeadLetters({
  deadLetters,
  ledger,
  contents,
  routing,
  sealing,
  now,
  emit,
}: MaintenanceTools): Promise<void> {
  const { retention, message: limits } = routing().config;
  const bounds = { maxAgeMs: retention.deadLetterMs, maxCount: retention.deadLetterCount };
  const ids = await deadLetters.overdue({ now: now(), ...bounds, limit: page });
  let count = 0;
  for (const id of ids) {
    // The only copy of a message that an operator has yet to decide on.
    if ((await ledger.read(id))?.state === 'held') continue;
    const letter = await deadLetters.get(id);
    // What was not to be parsed is not parsed here: its contents go once nothing needs them (contents.ts).
    const decoded =
      letter?.form !== 'json'
        ? null
        : decodeIntake(letter.id, letter.acceptedAt, letter.data, limits, sealing(), letter.wasSealed);
    // A message that was replayed and died again meanwhile has a new letter, which stays, and so do its contents.
    if (!(await deadLetters.drop(id, letter ?? undefined))) continue;
    count += 1;
    if (decoded?.ok === true) await contents.release(id, refsOf(decoded.job.message));
  }
  if (count > 0) emit({ event: 'dead-letters-trimmed', count });
}
