/** Asks DNS, within bounds: times, sizes and numbers, each name once. What a server says is text, never trusted. */
import { Resolver } from 'node:dns/promises';
import { printable } from '../errors.ts';

/** `none`: the name has no such record. `failed`: DNS gave no answer that can be used. */
export type Answer<T> =
  | { readonly kind: 'found'; readonly records: readonly T[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly why: string };

export interface Lookup {
  txt(name: string): Promise<Answer<string>>;
  /** Addresses of both families. */
  addresses(name: string): Promise<Answer<string>>;
  mx(name: string): Promise<Answer<string>>;
}

export interface LookupOptions {
  /** `IP:PORT`; null: those of the system. */
  readonly server: string | null;
  readonly signal: AbortSignal;
}

const timeoutMs = 2_500;
const tries = 2;
/** Of one answer: more is nothing that a record of SPF, DKIM or DMARC needs. */
const maxRecords = 100;
const maxTxtChars = 16_384;
/** Of one run, over all domains. */
const maxQueries = 20_000;

/** c-ares follows a CNAME within an answer, and gives up on a loop. */
export function createLookup({ server, signal }: LookupOptions): Lookup {
  const resolver = new Resolver({ timeout: timeoutMs, tries });
  if (server !== null) resolver.setServers([server]);
  signal.addEventListener('abort', () => resolver.cancel(), { once: true });
  const known = new Map<string, Promise<Answer<string>>>();
  let queries = 0;

  const once = (key: string, ask: () => Promise<string[]>): Promise<Answer<string>> => {
    const before = known.get(key);
    if (before !== undefined) return before;
    queries += 1;
    const asked = queries > maxQueries || signal.aborted ? Promise.resolve(tooLate) : answered(ask);
    known.set(key, asked);
    return asked;
  };

  return {
    txt: (name) => once(`TXT ${name.toLowerCase()}`, async () => textsOf(await resolver.resolveTxt(name))),
    async addresses(name) {
      const [four, six] = await Promise.all([
        once(`A ${name.toLowerCase()}`, () => resolver.resolve4(name)),
        once(`AAAA ${name.toLowerCase()}`, () => resolver.resolve6(name)),
      ]);
      const failed = [four, six].find(({ kind }) => kind === 'failed');
      if (failed !== undefined) return failed;
      const records = [four, six].flatMap((answer) => (answer.kind === 'found' ? answer.records : []));
      return records.length === 0 ? { kind: 'none' } : { kind: 'found', records };
    },
    mx: (name) =>
      once(`MX ${name.toLowerCase()}`, async () => (await resolver.resolveMx(name)).map(({ exchange }) => exchange)),
  };
}

const tooLate: Answer<string> = { kind: 'failed', why: 'no time is left' };

async function answered(ask: () => Promise<string[]>): Promise<Answer<string>> {
  try {
    const records = await ask();
    if (records.length > maxRecords) return { kind: 'failed', why: `the answer has ${records.length} records` };
    if (records.some((text) => text.length > maxTxtChars)) return { kind: 'failed', why: 'the record is too long' };
    return records.length === 0 ? { kind: 'none' } : { kind: 'found', records };
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
    if (code === 'ENOTFOUND' || code === 'ENODATA') return { kind: 'none' };
    return { kind: 'failed', why: printable(code, 40) };
  }
}

/** RFC 7208 section 3.3: the strings of a record are one text, without a blank between them. */
function textsOf(records: readonly (readonly string[])[]): string[] {
  return records.map((strings) => strings.join(''));
}
