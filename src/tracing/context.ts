/**
 * Trace contexts as text (https://www.w3.org/TR/trace-context/): traceparent and tracestate, never baggage. What is read comes from
 * strangers: a header, or a job that any client of Redis may have written. What is no context is none.
 */
import { createTraceState, isSpanContextValid, TraceFlags, type SpanContext } from '@opentelemetry/api';

/** Characters of a carrier in a job. Other clients put baggage into it, of which W3C allows 8,192 bytes. */
export const maxCarrierChars = 10_240;
/** Of a traceparent: a later version of it may have more than the 55 of today (section 3.2.4). */
const maxParentChars = 256;
/** Of a tracestate (section 3.3.1.5). */
const maxStateChars = 512;

const parentPattern = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** null if `parent` is none. A bad `state` is left out (section 4.3). */
export function readContext(parent: unknown, state?: unknown): SpanContext | null {
  if (typeof parent !== 'string' || parent.length > maxParentChars) return null;
  const [, version, traceId, spanId, flags, rest] = parentPattern.exec(parent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  const found = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  if (!isSpanContextValid(found)) return null;
  if (typeof state !== 'string' || state === '' || state.length > maxStateChars) return found;
  const traceState = createTraceState(state);
  return traceState.serialize() === '' ? found : { ...found, traceState };
}

/** A context that was written by `textOf`. */
export function readText(text: unknown): SpanContext | null {
  if (typeof text !== 'string') return null;
  const at = text.indexOf(' ');
  return at < 0 ? readContext(text) : readContext(text.slice(0, at), text.slice(at + 1));
}

/** The traceparent, and behind a space the tracestate, if there is one; '' for a context that is none. */
export function textOf(given: SpanContext | null): string {
  if (given === null || !isSpanContextValid(given)) return '';
  const state = given.traceState?.serialize() ?? '';
  return state === '' ? parentOf(given) : `${parentOf(given)} ${state}`;
}

/** The traceparent alone; '' for a context that is none. */
export function parentOf(given: SpanContext): string {
  if (!isSpanContextValid(given)) return '';
  const { traceId, spanId, traceFlags } = given;
  return `00-${traceId}-${spanId}-${(traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0')}`;
}

/** What BullMQ's option `tm` has, as bullmq-otel writes it: a JSON object of header fields. → as `textOf`. */
export function textOfCarrier(carrier: string): string {
  if (carrier.length > maxCarrierChars) return '';
  try {
    const fields: unknown = JSON.parse(carrier);
    if (typeof fields !== 'object' || fields === null) return '';
    const { traceparent, tracestate } = fields as Readonly<Record<string, unknown>>;
    return textOf(readContext(traceparent, tracestate));
  } catch {
    return '';
  }
}

/** `text` for `tm`; '' if it is none. */
export function carrierOf(text: string): string {
  if (text === '') return '';
  const at = text.indexOf(' ');
  if (at < 0) return JSON.stringify({ traceparent: text });
  return JSON.stringify({ traceparent: text.slice(0, at), tracestate: text.slice(at + 1) });
}
