import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Secret } from 'kubernetes-models/v1/Secret';
import { type Manifest, parseManifests } from './rendering.ts';
import { getObject } from './workloads.ts';

const run = promisify(execFile);

/** What the script of the dev overlay makes. */
export async function makeSecrets(): Promise<Manifest[]> {
  const { stdout } = await run('sh', ['k8s/overlays/dev/make-secrets.sh']);
  return parseManifests(stdout);
}

/** What is in a Secret, by its key. @throws Error if there is no such Secret */
export function secretData(objects: Manifest[], name: string): Record<string, string> {
  return getObject(objects, Secret, name).stringData ?? {};
}
