import { globSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { runTool } from './tools.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** What every object of the Kubernetes API has. */
export type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
};

const FOLDER = 'k8s';

export const overlays = namesIn('overlays');
export const components = namesIn('components');

function namesIn(folder: string): string[] {
  return globSync(`${FOLDER}/${folder}/*/kustomization.yaml`)
    .map((path) => basename(join(path, '..')))
    .toSorted();
}

/** What `kubectl apply -k` would send for an overlay, a name of `overlays`. */
export async function renderOverlay(name: string): Promise<Manifest[]> {
  return parseManifests(await runTool('kubectl', 'kustomize', join(FOLDER, 'overlays', name)));
}

/** The same with one more component. */
export async function renderWith(t: Teardown, component: string, overlay: string): Promise<Manifest[]> {
  // A kustomization may only name folders by relative paths, so it must be near them.
  const folder = await mkdtemp(join(FOLDER, '.test-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [`../overlays/${overlay}`],
    components: [`../components/${component}`],
  };
  await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  return parseManifests(await runTool('kubectl', 'kustomize', folder));
}

/** All objects in a text of YAML. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors;
    if (error) throw error;
    return document.toJS();
  });
}

/** `kind/name`, for messages. */
export function idOf({ kind, metadata: { name, namespace } }: Manifest): string {
  return `${kind}/${namespace === undefined ? '' : `${namespace}/`}${name}`;
}
