/** The pages: each path with its place in the navigation, which decides the scope that it needs. */
import type { Scope } from '../../config/scopes.ts';
import type { Place } from './layout.ts';
import { connectorPage } from './pages/connector.ts';
import { connectorsPage } from './pages/connectors.ts';
import { auditPage } from './pages/audit.ts';
import { deadLettersPage } from './pages/dead-letters.ts';
import { eventsPage } from './pages/events.ts';
import { operationsPage } from './pages/operations.ts';
import { routesPage } from './pages/routes.ts';
import { messagePage } from './pages/message.ts';
import { messagesPage } from './pages/messages.ts';
import { overviewPage } from './pages/overview.ts';
import { submissionPage } from './pages/submission.ts';
import { suppressionsPage } from './pages/suppressions.ts';
import { webhookPage } from './pages/webhook.ts';
import { webhooksPage } from './pages/webhooks.ts';
import { paramsOf } from './paths.ts';
import { scopeOf, type Page } from './visit.ts';

const pages: readonly (readonly [string, Place, Page])[] = [
  ['/ui/', 'overview', overviewPage],
  ['/ui/connectors', 'connectors', connectorsPage],
  ['/ui/connectors/*', 'connectors', connectorPage],
  ['/ui/messages', 'messages', messagesPage],
  ['/ui/messages/*', 'messages', messagePage],
  ['/ui/dead-letters', 'dead-letters', deadLettersPage],
  ['/ui/operations', 'operations', operationsPage],
  ['/ui/routes', 'routes', routesPage],
  ['/ui/events', 'events', eventsPage],
  ['/ui/webhooks', 'webhooks', webhooksPage],
  ['/ui/webhooks/*', 'webhooks', webhookPage],
  ['/ui/submission', 'submission', submissionPage],
  ['/ui/suppressions', 'suppressions', suppressionsPage],
  ['/ui/audit', 'audit', auditPage],
];

export interface FoundPage {
  readonly page: Page;
  readonly params: readonly string[];
  readonly scope: Scope;
}

export function pageFor(path: string): FoundPage | null {
  for (const [pattern, place, page] of pages) {
    const params = paramsOf(pattern, path);
    if (params !== null) return { page, params, scope: scopeOf(place) };
  }
  return null;
}
