/** The shapes of answers: Graph's JSON and errors, Entra's errors. */
import { randomUUID } from 'node:crypto';
import type { Answer } from './requests.ts';

const jsonType = 'application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8';

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'content-type': jsonType, ...headers }, body: JSON.stringify(value) };
}

export function empty(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: '' };
}

/** What every answer of Graph carries, beside an error's copy of it. */
export function diagnosticHeaders(clientRequestId: string | undefined): Record<string, string> {
  return {
    'request-id': randomUUID(),
    ...(clientRequestId === undefined ? {} : { 'client-request-id': clientRequestId }),
    'cache-control': 'no-store, no-cache',
  };
}

/** An error of Graph (https://learn.microsoft.com/graph/errors). */
export function graphError(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const innerError = { date: new Date().toISOString().slice(0, 19), 'request-id': randomUUID() };
  return json(status, { error: { code, message, innerError } }, headers);
}

/** An error of Entra's token endpoint: an OAuth error (RFC 6749 section 5.2) with an AADSTS code in its text. */
export function entraError(
  status: number,
  error: string,
  code: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const [trace, correlation] = [randomUUID(), randomUUID()];
  const timestamp = `${new Date().toISOString().slice(0, 19).replace('T', ' ')}Z`;
  const description = `AADSTS${code}: ${text} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`;
  const body = {
    error,
    error_description: description,
    error_codes: [code],
    timestamp,
    trace_id: trace,
    correlation_id: correlation,
    error_uri: `https://login.microsoftonline.com/error?code=${code}`,
  };
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(body),
  };
}
