/** The results as a drawing: bars of messages per second with the range of the repetitions, one group per row. */
import type { Results } from './report.ts';

const width = 900;
const labelWidth = 220;
const valueWidth = 150;
const barHeight = 18;
const lineHeight = 26;

export function plot({ rows, machine, at, quick }: Results): string {
  const shapes: string[] = [];
  let y = 30;
  const text = (x: number, content: string, rest = ''): void =>
    void shapes.push(`<text x="${x}" y="${y}"${rest}>${escape(content)}</text>`);
  text(20, 'Postlane: messages per second', ' class="title"');
  y += 20;
  text(20, `${machine['processor'] ?? ''}, ${machine['fsync'] ?? ''}, ${at.slice(0, 10)}${quick ? ', quick run' : ''}`);
  for (const { id, figures } of rows) {
    if (figures.length === 0) continue;
    y += lineHeight + 10;
    text(20, id, ' class="title"');
    const most = Math.max(...figures.map(({ perSecond }) => perSecond.most));
    const scale = (value: number): number => labelWidth + (value / most) * (width - labelWidth - valueWidth);
    for (const { name, ours, perSecond } of figures) {
      y += lineHeight;
      const { median, least, most: best } = perSecond;
      const middle = y - 6;
      text(labelWidth - 10, name, ' text-anchor="end"');
      const bar = `x="${labelWidth}" y="${middle - barHeight / 2}" width="${(scale(median) - labelWidth).toFixed(1)}"`;
      shapes.push(`<rect ${bar} height="${barHeight}" class="${ours ? 'ours' : 'theirs'}"/>`);
      const [from, to] = [scale(least).toFixed(1), scale(best).toFixed(1)];
      shapes.push(`<path d="M${from} ${middle}H${to}M${from} ${middle - 4}v8M${to} ${middle - 4}v8"/>`);
      text(Number(to) + 8, Math.round(median).toLocaleString('en'));
    }
  }
  const style = `text{font:13px sans-serif;fill:#222}.title{font-weight:bold}.ours{fill:#2b6cb0}.theirs{fill:#b8c4d0}path{stroke:#222;fill:none}`;
  const height = y + 20;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<style>${style}</style>
<rect width="${width}" height="${height}" fill="#fff"/>
${shapes.join('\n')}
</svg>
`;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
