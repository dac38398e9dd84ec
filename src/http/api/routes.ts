/**
 * Every route of the API, in the order of its documentation. To add some: declare them with `route()` in a file of `routes/`, put its
 * list here, and run `npm run schema`. What a route needs of Redis it takes from `tools.producer` and `tools.operator()`.
 */
import type { Route } from './route.ts';
import { auditRoutes } from './routes/audit.ts';
import { connectorRoutes } from './routes/connectors.ts';
import { deadLetterRoutes } from './routes/dead-letters.ts';
import { messageActionRoutes } from './routes/message-actions.ts';
import { contentRoutes } from './routes/content.ts';
import { eventRoutes } from './routes/events.ts';
import { messageRoutes } from './routes/messages.ts';
import { operationRoutes } from './routes/operations.ts';
import { routingRoutes } from './routes/routing.ts';
import { searchRoutes } from './routes/search.ts';
import { statsRoutes } from './routes/stats.ts';
import { submitRoutes } from './routes/submit.ts';
import { suppressionRoutes } from './routes/suppressions.ts';
import { tokenRoutes } from './routes/token.ts';

export const routes: readonly Route[] = [
  ...submitRoutes,
  ...searchRoutes,
  ...messageRoutes,
  ...contentRoutes,
  ...messageActionRoutes,
  ...eventRoutes,
  ...deadLetterRoutes,
  ...operationRoutes,
  ...connectorRoutes,
  ...suppressionRoutes,
  ...routingRoutes,
  ...statsRoutes,
  ...auditRoutes,
  ...tokenRoutes,
];
