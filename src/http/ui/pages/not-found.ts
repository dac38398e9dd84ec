/** What is not there. */
import { problemPage } from './problem.ts';
import type { Shown } from '../visit.ts';

export function notFound(detail: string): Shown {
  return problemPage({ code: 'not-found', detail });
}
