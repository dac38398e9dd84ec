/** Makes the library's meters of the definitions in the catalogue, in a registry of their own. */
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';
import { namespace, type Definition } from './catalogue.ts';

type Made = Omit<Definition, 'scope'>;
type Table = Readonly<Record<string, Made>>;
type LabelOf<Of extends Made> = Of['labels'][number];
type MeterOf<Of extends Made> = Of['type'] extends 'counter'
  ? Counter<LabelOf<Of>>
  : Of['type'] extends 'histogram'
    ? Histogram<LabelOf<Of>>
    : Gauge<LabelOf<Of>>;

export type Meters<Of extends Table> = { readonly [Name in keyof Of]: MeterOf<Of[Name]> };

export function metersOf<const Of extends Table>(table: Of, registry: Registry): Meters<Of> {
  const made = Object.entries(table).map(([name, { type, help, labels, buckets = [] }]) => {
    const about = { name: `${namespace}${name}`, help, labelNames: [...labels], registers: [registry] };
    if (type === 'counter') return [name, new Counter(about)] as const;
    if (type === 'histogram') return [name, new Histogram({ ...about, buckets: [...buckets] })] as const;
    return [name, new Gauge(about)] as const;
  });
  return Object.fromEntries(made) as Meters<Of>;
}
