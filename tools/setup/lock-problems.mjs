/** Owns what a package-lock.json must have, so that `npm ci` works on every platform and checks all that it downloads. */

/**
 * @typedef {{ integrity?: string, optionalDependencies?: Record<string, string> }} Entry
 * @param {string} text package-lock.json
 * @returns {string[]} one sentence for each problem
 */
export function lockProblems(text) {
  /** @type {Record<string, Entry>} */
  const packages = JSON.parse(text).packages;
  return Object.entries(packages).flatMap(([path, entry]) => {
    const missing = Object.keys(entry.optionalDependencies ?? {}).filter(
      (name) =>
        packages[`node_modules/${name}`] === undefined && packages[`${path}/node_modules/${name}`] === undefined,
    );
    const unchecked = path !== '' && !/^sha512-[\w+/]{86}==$/.test(entry.integrity ?? '');
    return [
      ...missing.map((name) => `${path} asks for ${name}, which has no entry.`),
      ...(unchecked ? [`${path} has no sha512 checksum.`] : []),
    ];
  });
}
