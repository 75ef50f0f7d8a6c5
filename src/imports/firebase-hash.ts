import { isObject, phcBase64, wordOf } from './foreign-record.ts';

/** What is wrong with a hash_config: a sentence for the operator, which does not quote the key. */
type HashConfigProblem = { problem: string };

const KEY = /^[A-Za-z0-9+/_-]{16,}=*$/;

/** Of the text of the console, one a line, such as `rounds: 8,`. */
const PARAMETER =
  /^\s*(algorithm|base64_signer_key|base64_salt_separator|rounds|mem_cost):\s*([^\s,]*),?\s*$/gm;

/**
 * The parameters in a file: JSON, or the text that the console shows, which is none.
 * @returns null when there are none
 */
export function readHashConfig(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const parameters = [...text.matchAll(PARAMETER)].map(([, name, value]) => [name, value]);
    return parameters.length === 0 ? null : Object.fromEntries(parameters);
  }
}

/**
 * What stands before the salt and the hash of each user of a Firebase project, as Supabase writes it.
 * @param config the project's hash_config: of the console, or as an element of that name
 */
export function firebasePrefix(config: unknown): { prefix: string } | HashConfigProblem {
  const outer = isObject(config) ? config : {};
  const { algorithm, base64_signer_key, base64_salt_separator, rounds, mem_cost } = isObject(
    outer.hash_config,
  )
    ? outer.hash_config
    : outer;
  if (algorithm !== undefined && algorithm !== 'SCRYPT') return { problem: 'its algorithm is not SCRYPT' };
  if (!KEY.test(wordOf(base64_signer_key))) return { problem: 'it has no base64_signer_key' };
  if (![rounds, mem_cost].every((cost) => /^\d+$/.test(wordOf(cost)))) {
    return { problem: 'its rounds and mem_cost are not numbers' };
  }
  return {
    prefix: firebaseParameters(mem_cost, rounds, base64_salt_separator, base64_signer_key),
  };
}

/** @param memory the logarithm of N @param blocks r, which Firebase calls rounds @param key of the signer, in base64 */
export function firebaseParameters(
  memory: unknown,
  blocks: unknown,
  separator: unknown,
  key: unknown,
): string {
  const [ss, sk] = [separator, key].map((text) => phcBase64(wordOf(text)));
  return `$fbscrypt$v=1,n=${memory},r=${blocks},p=1,ss=${ss},sk=${sk}$`;
}
