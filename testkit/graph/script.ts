/** What a test has told the fake to do with requests to come: which request, which fault, how often. */
import type { Fault } from './faults.ts';
import type { FakeRequest, Operation } from './requests.ts';

/** Which requests: an operation's name, or all that fit every member. `*` is any request of Graph and of the uploads, not of Entra. */
export type Pattern =
  | Operation
  | '*'
  | {
      readonly operation?: Operation | '*';
      /** Address of the mailbox in the path. */
      readonly mailbox?: string;
      readonly when?: (request: FakeRequest) => boolean;
    };

/**
 * `null` lets one request pass. A function is asked for every request and stays; null or undefined from it leaves the
 * request to the entries that follow.
 */
export type Step = Fault | null | ((request: FakeRequest) => Fault | null | undefined);

export interface ScriptEntry {
  /** How many requests it has had a fault for, or let pass. */
  readonly used: number;
  /** Takes back what is left of it. */
  clear(): void;
}

export interface Script {
  /** Each step serves one request, in order; then all is well again. Entries are asked in the order in which they were added. */
  add(pattern: Pattern, ...steps: readonly Step[]): ScriptEntry;
  /** The fault for a request, or null. Called once per request, when its headers are there. */
  take(request: FakeRequest): Fault | null;
}

interface Entry extends ScriptEntry {
  used: number;
  readonly pattern: Pattern;
  steps: Step[];
}

export function createScript(): Script {
  let entries: Entry[] = [];
  return {
    add(pattern, ...steps) {
      const entry: Entry = {
        used: 0,
        pattern,
        steps: [...steps],
        clear: () => {
          entries = entries.filter((other) => other !== entry);
        },
      };
      entries.push(entry);
      return entry;
    },
    take(request) {
      for (const entry of entries) {
        const [step] = entry.steps;
        if (step === undefined || !matches(entry.pattern, request)) continue;
        if (typeof step === 'function') {
          const fault = step(request) ?? null;
          if (fault === null) continue;
          entry.used += 1;
          return fault;
        }
        entry.steps = entry.steps.slice(1);
        entry.used += 1;
        return step;
      }
      return null;
    },
  };
}

function matches(pattern: Pattern, request: FakeRequest): boolean {
  const { operation = '*', mailbox, when } = typeof pattern === 'string' ? { operation: pattern } : pattern;
  const ofEntra = request.operation === 'token' || request.operation === 'discovery';
  if (operation === '*' ? ofEntra : operation !== request.operation) return false;
  if (mailbox !== undefined && mailbox.toLowerCase() !== request.mailbox?.toLowerCase()) return false;
  return when === undefined || when(request);
}
