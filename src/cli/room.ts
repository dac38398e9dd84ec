/** The room that Redis has for new messages, in a sentence: for `doctor`, `status` and `connectors`. */
import type { Operator } from '../admin/operator.ts';
import { unreachable } from '../errors.ts';
import type { Terminal } from './terminal.ts';

/** One line, whatever the answer is. */
export async function noteRoom(operator: Pick<Operator, 'room' | 'reservePercent'>, terminal: Terminal): Promise<void> {
  const room = await operator.room();
  switch (room) {
    case 'unlimited':
      return terminal.note(
        'Redis has no maxmemory: set one below the memory of its host, or the kernel ends Redis when that is used up.',
      );
    case 'hidden':
      return terminal.note('Redis does not tell this user how much memory is used (INFO is not allowed).');
    default:
  }
  if (typeof room === 'string') return unreachable(room);
  const { usedBytes, maxBytes, reservedBytes, freeBytes } = room;
  const kept = `${mebibytes(reservedBytes)} MiB are kept for messages that wait (redis.reserve: ${operator.reservePercent}%)`;
  const rest =
    freeBytes > 0
      ? `${mebibytes(freeBytes)} MiB are free for new ones.`
      : terminal.bad('no room for new ones: `send` is refused with redis-full.');
  terminal.note(`Redis uses ${mebibytes(usedBytes)} of ${mebibytes(maxBytes)} MiB; ${kept}, ${rest}`);
}

/** Only where new messages are refused. */
export async function noteFull(operator: Pick<Operator, 'room' | 'reservePercent'>, terminal: Terminal): Promise<void> {
  const room = await operator.room();
  if (typeof room === 'object' && room.freeBytes <= 0) await noteRoom(operator, terminal);
}

function mebibytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}
