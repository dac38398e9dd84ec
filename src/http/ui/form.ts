/** What a form does, and what its sender sees afterwards. */
import { perform, type Input, type Performed } from './perform.ts';
import type { Notice } from './session.ts';
import type { Shown, Visit } from './visit.ts';

/** A page follows at once where there is something to decide; otherwise the browser is led to one, with a notice. */
export type Done = { readonly notice: Notice; readonly to: string } | { readonly page: Shown };

export type FormAct = (visit: Visit, form: URLSearchParams, params: readonly string[]) => Promise<Done>;

export interface Form {
  /** `*` is one part of it. */
  readonly path: string;
  readonly act: FormAct;
}

type Body = Extract<Performed, { ok: true }>['body'];

/** Runs a route and tells what came of it. `said`: in words, if it was done; `then`: where it leads if not to `to`. */
export async function told(
  visit: Visit,
  route: string,
  input: Input,
  to: string,
  said: (body: Body) => string | Notice,
  then?: (body: Body) => string,
): Promise<Done> {
  const done = await perform(route, input, visit.asker);
  if (!done.ok) return { to, notice: { good: false, text: `Not done: ${done.problem.detail}.`.replace(/\.\.$/, '.') } };
  const text = said(done.body);
  return { to: then?.(done.body) ?? to, notice: typeof text === 'string' ? { good: true, text } : text };
}

/** A field without its outer spaces; undefined if it is empty. */
export function filled(form: URLSearchParams, name: string): string | undefined {
  return form.get(name)?.trim() || undefined;
}

/** For a body: without what is not there. */
export function given(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
}
