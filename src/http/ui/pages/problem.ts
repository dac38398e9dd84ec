/** What is shown in place of a page that cannot be: what did not happen, why, and what to do. */
import { html } from 'hono/html';
import { kindOf, type Problem, type ProblemCode } from '../../problem.ts';
import { visible } from '../format.ts';
import { withCode } from '../parts.ts';
import type { Shown } from '../visit.ts';

export function problemPage({ code, detail }: Problem): Shown & { readonly status: number } {
  const { status } = kindOf(code);
  const { title, next } = wordsOf(code);
  return {
    title,
    place: null,
    status,
    main: html`<header class="head" ${status === 503 ? html`data-away=""` : ''}>
      <h1>${title}</h1>
      <p class="lede"><bdi>${withCode(visible(detail))}</bdi></p>
      <p class="prose">${next}</p>
    </header>`,
  };
}

interface Words {
  readonly title: string;
  readonly next: string;
}

const away: Words = {
  title: 'Redis cannot be reached',
  next: 'Nothing is lost: applications are told so, and workers go on once it is back. This page tries again by itself.',
};

const words: Readonly<Partial<Record<ProblemCode, Words>>> = {
  'redis-unavailable': away,
  timeout: away,
  'not-found': { title: 'Not found', next: 'It may have been removed, or the address may be mistyped.' },
  forbidden: {
    title: 'Not allowed',
    next: 'An administrator can give the token a scope or a role in the configuration.',
  },
  'rate-limited': { title: 'Too many requests', next: 'Wait a moment, and open the page again.' },
  internal: { title: 'The server has failed', next: 'The log of the server has the reason.' },
};

function wordsOf(code: ProblemCode): Words {
  return words[code] ?? { title: 'Not possible', next: 'Go back, and change what you have asked for.' };
}
