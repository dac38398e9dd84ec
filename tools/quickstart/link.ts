/** A link that signs in at the dashboard of the quick start, once. It is printed on the terminal alone, and is in no log. */
import { createHash } from 'node:crypto';
import { openOperator } from '../../src/admin/operator.ts';
import { createSessions } from '../../src/http/ui/session.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { tokenId } from './configuration.ts';
import type { Setup } from './setup.ts';

export async function loginLink({ redis, api }: Pick<Setup, 'redis' | 'api'>, now: number): Promise<string> {
  const operator = await openOperator({ redis, timeoutMs: 5_000, limits: defaultMessageLimits });
  try {
    const sha256 = createHash('sha256').update(api.token).digest('hex');
    const link = createSessions(await operator.sessionKey()).link({ id: tokenId, sha256 }, now);
    return `${api.url}/ui/login?link=${link}`;
  } finally {
    operator.close();
  }
}
