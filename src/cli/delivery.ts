/** Says that mail of this installation is restricted, wherever a person might take it for sent. */
import type { Config } from '../config/config.ts';
import { deliveryWords } from '../config/delivery-words.ts';
import type { Terminal } from './terminal.ts';

/** Only where it is. */
export function noteDelivery({ delivery }: Pick<Config, 'delivery'>, terminal: Terminal): void {
  const words = deliveryWords(delivery);
  if (words !== null) terminal.note(terminal.bad(`DELIVERY IS RESTRICTED: ${words} (delivery).`));
}
