/** Proves token and mailbox without sending anything: what `check --connect` reports of a Graph connector. */
import type { GraphClient } from './client.ts';
import { isForbidden } from './lookup.ts';
import { faultOf } from './outcome.ts';
import { readTokenError } from '../oauth/entra-errors.ts';
import type { TokenSource } from '../oauth/token-source.ts';
import type { CheckResult } from '../transport.ts';

export interface CheckTask {
  readonly client: GraphClient;
  readonly tokens: TokenSource;
  /** Null if the connector sends for patterns only, so that no mailbox is known. */
  readonly mailbox: string | null;
  /** For people; null: there is none. */
  readonly proxy: string | null;
  readonly requestMs: number;
  readonly now: number;
  readonly signal: AbortSignal;
}

export async function checkGraph(task: CheckTask): Promise<CheckResult> {
  const { client, tokens, mailbox, proxy, requestMs: timeoutMs, now, signal } = task;
  const way = proxy === null ? '' : `; through the proxy ${proxy}`;
  try {
    await tokens.get(signal);
  } catch (error) {
    const { fault, reply } = readTokenError(error);
    return { ok: false, fault, reply };
  }
  if (mailbox === null) {
    return { ok: true, detail: `token granted; no mailbox was tried, as the connector names none${way}` };
  }
  // A message without recipients: an application that may send through this mailbox is told that recipients are missing; any
  // other is refused first. Mail.Send alone reads nothing, so no other request could prove it.
  const body = { message: { toRecipients: [] }, saveToSentItems: false };
  const asked = await client.call({ method: 'POST', path: ['users', mailbox, 'sendMail'], body, timeoutMs }, signal);
  const fault = faultOf(asked, now);
  if (fault !== null) return fault;
  if (asked.kind === 'answer' && asked.status >= 500) {
    const text = `Graph answers ${asked.status}`;
    return { ok: false, fault: 'unreachable', reply: { code: String(asked.status), enhancedCode: null, text } };
  }
  if (asked.kind === 'no-answer') {
    const { code, message } = asked.failure;
    return { ok: false, fault: 'unreachable', reply: { code, enhancedCode: null, text: message } };
  }
  const query = { $top: '1', $select: 'id' };
  const read = await client.call({ method: 'GET', path: ['users', mailbox, 'messages'], query, timeoutMs }, signal);
  const looks = isForbidden(read)
    ? 'sent items cannot be looked up (Mail.ReadBasic.All or Mail.ReadWrite is missing)'
    : 'sent items can be looked up';
  return { ok: true, detail: `mailbox ${mailbox} can be sent through; ${looks}${way}` };
}
