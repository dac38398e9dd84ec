/** The commands that `--keep` prints to try next; they work as printed. */
import type { Setup } from './setup.ts';

const auth = '-H "Authorization: Bearer $POSTLANE_TOKEN"';

const curlExamples = [
  `curl -s ${auth} $POSTLANE_URL/v1/whoami`,
  `curl -s ${auth} -H 'Content-Type: application/json' -H 'Idempotency-Key: first' -d '{"from":"sales@example.com","to":"you@example.net","subject":"Hello","text":"Hi"}' $POSTLANE_URL/v1/messages`,
  `curl -s ${auth} "$POSTLANE_URL/v1/messages?recipient=you@example.net"`,
  `curl -sN ${auth} $POSTLANE_URL/v1/events`,
];

/** `link`: signs in at the dashboard, once. */
export function tryNext(
  { configFile, logFile, redis, api }: Pick<Setup, 'configFile' | 'logFile' | 'redis' | 'api'>,
  link: string,
): string[] {
  const postlane = (rest: string): string => `  npm run -s postlane -- ${rest} --config ${configFile}`;
  return [
    '',
    'Everything is still running. In another terminal, in this folder:',
    '',
    postlane('connectors'),
    postlane('explain archive@example.com'),
    postlane('send --from sales@example.com --to you@example.net --subject Hello --text Hi --wait'),
    postlane('send --from support@example.com --to you@example.net --subject Hello --text Hi --wait'),
    postlane('send --from sales@example.com --to gone-9@example.net --subject Hello --text Hi --wait'),
    postlane('dead list'),
    postlane('pause shop'),
    postlane('resume shop'),
    postlane('check --connect'),
    '',
    'The dashboard; the link signs in once, within 15 minutes, and later the token does:',
    '',
    `  ${link}`,
    `  ${api.url}/ui/  token ${api.token}`,
    '',
    'The same over HTTP; docs/api.md has more:',
    '',
    `  export POSTLANE_URL=${api.url} POSTLANE_TOKEN=${api.token}`,
    ...curlExamples.map((each) => `  ${each}`),
    '',
    `  tail -f ${logFile}`,
    ...(redis.url.startsWith('redis://127.0.0.1') ? [`  redis-cli -u ${redis.url}`] : []),
    '',
    'Change the configuration file and the worker puts it in force. Ctrl-C here stops everything.',
  ];
}
