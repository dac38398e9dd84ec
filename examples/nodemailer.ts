/**
 * An application that sends by nodemailer. To send through Postlane, only the line that makes the transport is another one.
 *
 *   REDIS_URL=redis://127.0.0.1:6379 node examples/nodemailer.ts you@example.net
 *
 * In your own application: import { postlaneTransport } from 'postlane/nodemailer';
 */
import { createTransport } from 'nodemailer';
import { postlaneTransport } from '../src/nodemailer.ts';

const [to = 'you@example.net'] = process.argv.slice(2);
const redis = {
  url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  prefix: process.env.POSTLANE_PREFIX ?? '{postlane}',
};

// Before: createTransport({ host: 'smtp.example.com', port: 587 })
const transporter = createTransport(postlaneTransport({ redis }));

const info = await transporter.sendMail({
  from: 'Sales <sales@example.com>',
  to,
  subject: 'Welcome',
  text: 'Good to have you here.',
  html: '<p>Good to have you <b>here</b>.</p>',
  attachments: [{ path: `${import.meta.dirname}/postlane.yaml` }, { filename: 'terms.txt', content: 'Be kind.' }],
});
console.log(info.response);
transporter.close();
