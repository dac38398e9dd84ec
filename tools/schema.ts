/** Writes the JSON Schemas and the OpenAPI document under `schema/` from the schemas in the source. A test fails when one is out of date. */
import { mkdir, writeFile } from 'node:fs/promises';
import { configJsonSchema } from '../src/config/schema.ts';
import { openApiDocument } from '../src/http/api/openapi.ts';
import { routes } from '../src/http/api/routes.ts';
import { messageJsonSchema } from '../src/message/schema.ts';

/** Path in the repository → content. */
export function files(): ReadonlyMap<string, string> {
  return new Map([
    ['schema/message.schema.json', `${JSON.stringify(messageJsonSchema(), null, 2)}\n`],
    ['schema/openapi.json', `${JSON.stringify(openApiDocument(routes), null, 2)}\n`],
    ['schema/config.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ]);
}

if (import.meta.main) {
  for (const [path, content] of files()) {
    const file = new URL(`../${path}`, import.meta.url);
    await mkdir(new URL('.', file), { recursive: true });
    await writeFile(file, content);
  }
}
