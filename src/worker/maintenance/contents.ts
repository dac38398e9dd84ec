/** Maintenance of stored contents: those that no message needs go, left by a crash or by a producer that gave up. */
import { contentGraceMs } from '../../queue/ledger/content.ts';
import { terminalStates } from '../../queue/ledger/ledger.ts';
import { write } from '../../queue/lua/script.ts';
import { page, type MaintenanceTools } from './tools.ts';

export async function trimContents(tools: MaintenanceTools): Promise<void> {
  const { redis, keys, contents, now, emit } = tools;
  let count = 0;
  for (const { ref, messageIds } of await contents.olderThan(now() - contentGraceMs, page)) {
    let needed = 0;
    for (const id of messageIds) {
      if (await isNeeded(id, tools)) needed += 1;
      else await contents.release(id, [ref]);
    }
    if (messageIds.length === 0) await contents.release('', [ref]);
    if (needed === 0) count += 1;
    // Examined again after the same time, not in each round.
    else await write(redis, 'ZADD', keys.contents, 'XX', now(), ref);
  }
  if (count > 0) emit({ event: 'contents-trimmed', count });
}

/** A message in the intake, an unsettled one, a dead letter and a sent one whose content is kept need their contents. */
async function isNeeded(id: string, { redis, keys, views, ledger }: MaintenanceTools): Promise<boolean> {
  const state = (await ledger.read(id))?.state ?? null;
  if (state !== null && !terminalStates.has(state)) return true;
  if ((await redis.exists(keys.intakeJob(id))) > 0) return true;
  const kept = await Promise.all(views.map(async (view) => redis.exists(view.keys.deadLetter(id), view.keys.kept(id))));
  return kept.some((count) => count > 0);
}
