/** What a client may make the server hold or wait for. `docs/limits.md` lists the same; a test compares the two. */

/** Of the header of a request, all lines: a token has 200 characters, a proxy adds some lines of its own. */
export const maxHeaderBytes = 16 * 1024;
/** Of the path and the query of a request. */
export const maxUrlChars = 8 * 1024;
/** Connections at once: streams of events and all others. */
export const maxConnections = 4_000;
/** Until the header of a request is there, in ms. */
export const headerMs = 10_000;
/** Until a request is there as a whole, in ms: 33 MiB at 5 Mbit/s take 55 s. */
export const requestMs = 60_000;
/** Until a request is answered, in ms. Each step that asks Redis has a shorter limit of its own. */
export const answerMs = 30_000;
/** For how long an idle connection is kept, in ms: longer than the 60 s of most proxies, so that they close it first (nginx, ALB). */
export const keepAliveMs = 65_000;
/** For how long a stop waits for requests that are being answered, in ms. */
export const drainMs = 10_000;
/** Bytes of bodies that are held at once. */
export const maxBodyBytesInFlight = 256 * 1024 * 1024;
/** Of a body that is no message. */
export const maxSmallBodyBytes = 256 * 1024;
/** Levels of nesting in JSON; a message has five. */
export const maxJsonDepth = 32;
/** Values, names and brackets in JSON: a batch of 1,000 messages to ten recipients each has about 60,000. */
export const maxJsonParts = 400_000;
