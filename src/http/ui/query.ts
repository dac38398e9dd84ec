/** Filters in the address of a page: read as one of a closed list, written without what is empty. */
import { html } from 'hono/html';
import { nothing, type Html } from './parts.ts';

export function picked<T extends string>(among: readonly T[], written: string | null): T | null {
  return among.find((each) => each === written) ?? null;
}

export function query(parts: Readonly<Record<string, string | number | null | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parts)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

/** A field of a filter with its choices: value and words. */
export function select(
  name: string,
  label: string,
  current: string | null,
  choices: readonly (readonly [string, string])[],
): Html {
  return html`<div class="f">
    <label for="${name}">${label}</label
    ><select id="${name}" name="${name}">
      ${choices.map(
        ([value, words]) =>
          html`<option value="${value}" ${value === (current ?? '') ? html`selected` : nothing}>${words}</option>`,
      )}
    </select>
  </div>`;
}
