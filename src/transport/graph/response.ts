/** Reads an answer of Microsoft Graph: its codes, its delay, its text, and their meaning by the table. Pure. */
import { printable } from '../../errors.ts';
import { graphRules, type GraphRule, type GraphVerdict } from './error-table.ts';
import { mapOf, objectOf, readRetryAfter } from '../http-reply.ts';
import type { Reply } from '../transport.ts';

export interface ReadAnswer {
  readonly verdict: GraphVerdict;
  readonly reply: Reply;
  /** The delay of its Retry-After, in ms; null without that header. */
  readonly retryAfterMs: number | null;
}

const maxTextLength = 500;

/** `now` (ms since the epoch) turns a date in Retry-After into a delay. */
export function readAnswer(
  answer: { readonly status: number; readonly headers: Headers; readonly text: string },
  now: number,
): ReadAnswer {
  const { status, headers } = answer;
  const error = errorOf(answer.text);
  const retryAfterMs = readRetryAfter(headers.get('retry-after'), now);
  const codes = error?.codes ?? [];
  const rule = ruleFor(status, codes, retryAfterMs !== null);
  const code = codes.find((each) => rule?.codes?.includes(each)) ?? codes[0] ?? null;
  const hint = rule?.verdict.kind === 'fault' ? rule.verdict.hint : undefined;
  const said = error?.message || saidBy(status, answer.text);
  const id = headers.get('request-id') ?? error?.requestId ?? null;
  const text = [hint === undefined ? said : `${hint}: ${said}`, id === null ? '' : `[request-id ${id}]`]
    .join(' ')
    .trim();
  return {
    verdict: rule?.verdict ?? { kind: 'uncertain' },
    reply: {
      code: String(status),
      enhancedCode: code === null ? null : printable(code, 80),
      text: printable(text, maxTextLength),
    },
    retryAfterMs,
  };
}

/** By codes first, beginning with the most specific one, then by status alone. */
function ruleFor(status: number, codes: readonly string[], asksForPause: boolean): GraphRule | undefined {
  const fits = ({ status: range, retryAfter }: GraphRule): boolean =>
    (range === undefined || (status >= range[0] && status <= range[1])) && (retryAfter === undefined || asksForPause);
  // No error code turns a 202 into a refusal, or a failure into a success.
  if (status >= 200 && status <= 299) return graphRules.find((rule) => rule.codes === undefined && fits(rule));
  for (const code of codes) {
    const found = graphRules.find((rule) => rule.codes?.includes(code) === true && fits(rule));
    // An explicit request for a pause wins over the general meaning of the code.
    if (found !== undefined) return found;
  }
  return graphRules.find((rule) => rule.codes === undefined && fits(rule));
}

interface GraphErrorBody {
  /** The most specific first. */
  readonly codes: readonly string[];
  readonly message: string;
  readonly requestId: string | null;
}

/** `{ error: { code, message, innerError: { code, innererror: … } } }`; null for HTML, an empty body, or anything else. */
function errorOf(text: string): GraphErrorBody | null {
  const outer = mapOf(objectOf(text)?.['error']);
  if (outer === null) return null;
  const codes: string[] = [];
  let requestId: string | null = null;
  let level: Record<string, unknown> | null = outer;
  for (let depth = 0; level !== null && depth < 8; depth += 1) {
    if (typeof level['code'] === 'string' && level['code'] !== '') codes.unshift(level['code']);
    if (typeof level['request-id'] === 'string') requestId ??= level['request-id'];
    level = mapOf(level['innerError'] ?? level['innererror']);
  }
  const message = typeof outer['message'] === 'string' && outer['message'] !== '' ? outer['message'] : (codes[0] ?? '');
  return { codes, message, requestId };
}

/** Gateways answer in HTML or not at all: the title is what a person would read of a page. */
function saidBy(status: number, text: string): string {
  if (status === 202) return 'accepted';
  const title = /<title>([^<]{1,200})/i.exec(text.slice(0, 10_000))?.[1];
  if (title !== undefined) return `${status} ${title}`;
  return text.trim() === '' ? `${status} without a text` : `${status} with a text that is not from Graph`;
}
