/** A scan of 25 MB from a device that can only speak SMTP arrives through Graph, whose requests end at 4 MB. */
import { createHash, randomBytes } from 'node:crypto';
import { createTransport } from 'nodemailer';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { graphPair } from '../support/graph-client.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { open, startSubmission, submissionKit } from '../support/submission.ts';

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('a scan of 25 MB over SMTP arrives byte for byte in its attachments, for header and hidden recipients alike', async () => {
  const rest = ['message: { maxSize: 60MiB }'];
  const here = await startSubmission(await submissionKit(), { listeners: [open], rest, timeoutMs: 60_000 });
  const { graph, transport } = await graphPair();
  const device = createTransport({ host: '127.0.0.1', port: here.ports[0]!, ignoreTLS: true });
  onTestFinished(() => device.close());
  const [scan, thumbnail] = [randomBytes(25_000_000), randomBytes(20_000)];
  const { response } = await device.sendMail({
    from: 'Scanner <sales@example.com>',
    to: 'a@example.net',
    bcc: 'hidden@example.net',
    subject: 'Scan 17',
    html: '<p>Your scan. <img src="cid:page@scanner">',
    attachments: [
      { filename: 'scan 17.pdf', content: scan },
      { filename: 'page.png', content: thumbnail, cid: 'page@scanner' },
    ],
  });
  const id = /^250 2\.0\.0 queued as (\S+)$/.exec(response)?.[1] ?? '';
  const config = configOf({ graph: {} }, { message: { maxRecipients: 500, maxBytes: 60 * 2 ** 20 } });
  await startWorker({ prefix: here.prefix, config, transports: { graph: transport } });
  const producer = testProducer(here.prefix);
  await until(async () => (await producer.status(id))?.state === 'sent', { what: 'it to be sent' });
  expect(graph.requests.some(({ operation }) => operation === 'uploadRange')).toBe(true);
  expect(graph.deliveries.map(({ recipient, as }) => `${recipient} ${as}`)).toEqual([
    'a@example.net to',
    'hidden@example.net bcc',
  ]);
  const [copy] = graph.mailbox('sales@example.com').in('sentitems');
  const arrived = copy?.attachments.map(({ name, chunks }) => [name, hash(Buffer.concat(chunks))]);
  expect(arrived?.toSorted()).toEqual([
    ['page.png', hash(thumbnail)],
    ['scan 17.pdf', hash(scan)],
  ]);
});
