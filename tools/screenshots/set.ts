/**
 * What the pictures show: the example set of the quick start, and beside it a connector that is paused, one that cannot be reached, a
 * scheduled message, mail that came back, a replay that is under way, webhooks and users of mail submission.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openOperator } from '../../src/admin/operator.ts';
import { openSubmissionStore } from '../../src/admin/submissions.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { hashPassword } from '../../src/submission/password.ts';
import type { Disposables } from '../../testkit/disposables.ts';
import { until } from '../../testkit/until.ts';
import { exampleSet } from '../quickstart/messages.ts';
import type { Setup } from '../quickstart/setup.ts';

const messages = 200;
const hourMs = 3_600_000;

/** Name of a picture → path of its page. */
export async function fill(setup: Setup, started: Disposables): Promise<[string, string][]> {
  const { api } = setup;
  await configure(setup, started);
  await send(setup);
  await until(async () => (await call(api, 'GET', '/v1/dead-letters')).items.length > 0, {
    what: 'dead letters',
    timeoutMs: 60_000,
  });
  await call(api, 'POST', '/v1/connectors/shop/pause', { reason: 'the shop moves to another server', for: '2h' });
  const [letter] = (await call(api, 'GET', '/v1/dead-letters')).items as [{ id: string }];
  const [sent] = (await call(api, 'GET', '/v1/messages?state=sent&connector=relay')).items as [{ id: string }];
  for (const address of ['gone-7@example.net', 'complained@example.org'])
    await call(api, 'POST', '/v1/suppressions', { address, reason: 'asked for it by telephone', for: '30d' });
  const back = await comeBack(setup);
  await submissions(setup);
  await call(api, 'POST', '/v1/dead-letters/replay', {
    ids: [letter.id],
    ratePerSecond: 0.05,
    reason: 'the directory is back',
  });
  return [
    ['overview', '/ui/'],
    ['connectors', '/ui/connectors'],
    ['connector-paused', '/ui/connectors/shop'],
    ['connector-fault', '/ui/connectors/branch'],
    ['messages', '/ui/messages'],
    ['messages-bounced', '/ui/messages?bounced=1'],
    ['messages-empty', '/ui/messages?q=nobody%40example.org'],
    ['message-sent', `/ui/messages/${sent.id}`],
    ['message-bounced', `/ui/messages/${back}`],
    ['message-dead', `/ui/messages/${letter.id}`],
    ['message-scheduled', '/ui/messages/later'],
    ['dead-letters', '/ui/dead-letters'],
    ['dead-letters-list', '/ui/dead-letters?view=list'],
    ['routes', '/ui/routes?from=archive%40example.com'],
    ['events', '/ui/events'],
    ['webhooks', '/ui/webhooks'],
    ['webhook', '/ui/webhooks/billing'],
    ['submission', '/ui/submission'],
    ['suppressions', '/ui/suppressions'],
    ['operations', '/ui/operations'],
    ['audit', '/ui/audit'],
    ['not-found', '/ui/messages/no-such-id'],
  ];
}

/** The worker takes the changed file by itself. */
async function configure({ configFile, api }: Setup, started: Disposables): Promise<void> {
  const [good, gone] = await Promise.all([receiver(204, started), receiver(410, started)]);
  const hash = await hashPassword('correct-horse-battery');
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const users = ['erp', 'scanner-2nd-floor', 'monitoring', 'website']
    .map((user) => `    - { user: ${user}, password: "${hash}", from: ["*@example.com"] }\n`)
    .join('');
  const branch = `  branch:
    address: branch@example.com
    direction: outgoing
    smtp: { host: 127.0.0.1, port: 1, security: none }
`;
  writeFileSync(
    configFile,
    `${readFileSync(configFile, 'utf8').replace('connectors:\n', `connectors:\n${branch}`)}
webhooks:
  - { id: crm, url: "${good}", secret: "${secret}", types: ["message.*"] }
  - { id: billing, url: "${gone}", secret: "${secret}", types: ["message.*", "connector.*"], recipients: masked }
submission:
  listeners:
    - { listen: 127.0.0.1:2525, security: none, networks: [10.0.0.0/24], from: ["scanner@example.com"] }
  users:
${users}`,
  );
  await until(async () => (await call(api, 'GET', '/v1/connectors')).items.some(({ id }) => id === 'branch'), {
    what: 'the configuration',
  });
}

async function receiver(status: number, started: Disposables): Promise<string> {
  const server: Server = createServer((request, response) => {
    request.resume();
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.defer('a receiver of webhooks', async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`;
}

async function send({ redis }: Setup): Promise<void> {
  const producer = createProducer({ redis });
  try {
    const set = exampleSet(messages, new Date(Date.now() + 1_000));
    await producer.sendMany(set.map(({ mail }) => mail));
    await producer.send({
      id: 'later',
      from: 'sales@example.com',
      to: ['zoe@example.net', 'ben@example.net'],
      subject: 'Later',
      text: 'x',
      sendAt: new Date(Date.now() + 5 * hourMs).toISOString(),
    });
    await producer.sendMany(
      Array.from({ length: 7 }, (_, n) => ({ from: 'branch@example.com', to: `kunde-${n}@example.net`, text: 'x' })),
    );
  } finally {
    await producer.close();
  }
}

/** A report names two recipients of a message that was taken. → its id. */
async function comeBack({ redis }: Setup): Promise<string> {
  const operator = await openOperator({ redis, timeoutMs: 5_000, limits: defaultMessageLimits });
  try {
    const { items } = await operator.messages({ state: 'sent', limit: 200 });
    const [most] = [...items].sort((a, b) => b.recipientCount - a.recipientCount);
    if (most === undefined) throw new Error('no message was sent');
    const at = Date.now();
    await operator.bounceNotes.write(
      most.id,
      'finance',
      at,
      most.recipients.slice(0, 2).map(({ address }, place) => ({
        place,
        address,
        bounce: {
          at,
          action: place === 0 ? ('failed' as const) : ('delayed' as const),
          status: place === 0 ? '5.1.1' : '4.4.1',
          smtpCode: place === 0 ? '550' : null,
          permanent: place === 0,
          diagnostic:
            place === 0 ? `550 5.1.1 <${address}>: user unknown in virtual mailbox table` : 'connection timed out',
        },
      })),
    );
    return most.id;
  } finally {
    operator.close();
  }
}

async function submissions({ redis }: Setup): Promise<void> {
  const store = openSubmissionStore({ redis, timeoutMs: 5_000 });
  const at = Date.now() - 240_000;
  const refused = { at, reply: '553 5.7.1 You may not send as this address: ceo@example.com' };
  await store.note([
    {
      user: 'erp',
      counts: { accepted: 4_120, duplicate: 3, rate: 18 },
      last: { at, address: '10.0.0.21', refused: null },
    },
    { user: 'website', counts: { accepted: 911, 'envelope-sender': 4 }, last: { at, address: '10.0.0.30', refused } },
    {
      user: 'scanner-2nd-floor',
      counts: { accepted: 12, 'wrong-login': 10 },
      last: { at, address: '10.0.0.8', refused: null },
    },
    {
      user: '127.0.0.1:2525',
      counts: { accepted: 77, 'too-large': 2 },
      last: { at, address: '10.0.0.9', refused: null },
    },
    {
      user: 'old-printer',
      counts: { accepted: 3 },
      last: { at: at - 80 * hourMs, address: '10.0.0.4', refused: null },
    },
  ]);
  for (let i = 0; i < 10; i += 1) await store.attempt({ user: 'scanner-2nd-floor', address: `10.0.0.${i}` });
  store.close();
}

function bearer({ token }: Setup['api']): Record<string, string> {
  return { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
}

async function call(
  api: Setup['api'],
  method: string,
  path: string,
  body?: unknown,
): Promise<{ readonly items: { readonly id: string }[] }> {
  const answer = await fetch(api.url + path, {
    method,
    headers: bearer(api),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as { items: { id: string }[] };
}
