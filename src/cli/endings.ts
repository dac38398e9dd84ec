/** Says once a day, in the log of a process that runs for months, which credentials and certificates end soon. */
import type { Config } from '../config/config.ts';
import { endingSoon } from '../config/ends.ts';
import type { ProcessEvent } from '../observability/process-events.ts';

const dayMs = 86_400_000;

/** The start of a process and each reload have said it already, as warnings. → ends it. */
export function watchEndings(
  config: () => Config,
  tell: (event: ProcessEvent) => void,
  { now = Date.now, everyMs = dayMs } = {},
): () => void {
  const look = (): void => {
    for (const { key, endsAt, days } of endingSoon(config(), now())) {
      tell({ event: 'ends-soon', key, endsAt: new Date(endsAt).toISOString(), days });
    }
  };
  const timer = setInterval(look, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
