import type { Manifest } from './rendering.ts';

/** Packages with the schemas of the Kubernetes API, and of those that others add to it. */
const PACKAGES: [group: RegExp, name: string][] = [
  [/^gateway\.networking\.k8s\.io\//, '@kubernetes-models/gateway-api'],
  [/^monitoring\.coreos\.com\//, '@kubernetes-models/prometheus-operator'],
  [/^traefik\.io\//, '@kubernetes-models/traefik'],
  [/^[a-z0-9.]+\/|^v1$/, 'kubernetes-models'],
];

type Model = { prototype: { validate: (this: unknown) => void } };
type Finding = { instancePath: string; message?: string };

/** What the API would refuse, or drop without a word, in an object; each with its path. */
export async function complaintsOf(object: Manifest): Promise<string[]> {
  const model = await findModel(object);
  if (model === null) return [`${object.apiVersion} has no ${object.kind}`];
  const { watched, unread } = watch(object);
  return [...findingsOf(model, watched), ...unread().map((path) => `${path} is unknown`)];
}

async function findModel({ apiVersion, kind }: Manifest): Promise<Model | null> {
  const name = PACKAGES.find(([group]) => group.test(apiVersion))?.[1];
  if (name === undefined) return null;
  try {
    return (await import(`${name}/${apiVersion}/${kind}`))[kind];
  } catch (error) {
    // A kind or a version that does not exist.
    if (error instanceof Error && 'code' in error && /NOT_FOUND|NOT_EXPORTED/.test(String(error.code)))
      return null;
    throw error;
  }
}

function findingsOf(model: Model, object: unknown): string[] {
  try {
    model.prototype.validate.call(object);
    return [];
  } catch (error) {
    if (!(error instanceof Error && 'errors' in error)) throw error;
    return (error.errors as Finding[])
      .filter((finding) => !isExperimental(finding, object))
      .map(({ instancePath, message }) => `${instancePath} ${message}`);
  }
}

/**
 * The package has the fields of the experimental channel of the Gateway API, `externalAuth` among them, but only the
 * filter types of the standard one.
 */
function isExperimental({ instancePath }: Finding, object: unknown): boolean {
  const filter = valueAt(object, instancePath.replace(/\/type$/, ''));
  return (
    /^\/spec\/rules\/\d+\/filters\/\d+\/type$/.test(instancePath) &&
    valueAt(filter, '/type') === 'ExternalAuth' &&
    valueAt(filter, '/externalAuth') !== undefined
  );
}

function valueAt(object: unknown, path: string): unknown {
  return path
    .split('/')
    .slice(1)
    .reduce((value, key) => (value as Record<string, unknown>)?.[key], object);
}

/**
 * The schemas let unknown keys pass. But their validators read every key that they know, so what was never read is
 * unknown: `livenesProbe` and the like. They read all keys of maps such as labels.
 */
function watch(object: object, path = ''): { watched: object; unread: () => string[] } {
  const read = new Map<string, { watched: unknown; unread: () => string[] }>();
  const watched = new Proxy(object, {
    get(target, key) {
      const value = Reflect.get(target, key);
      if (typeof key === 'symbol' || !Object.keys(target).includes(key)) return value;
      const seen = read.get(key) ?? watchValue(value, `${path}/${key}`);
      read.set(key, seen);
      return seen.watched;
    },
  });
  const unread = () => Object.keys(object).flatMap((key) => read.get(key)?.unread() ?? [`${path}/${key}`]);
  return { watched, unread };
}

function watchValue(value: unknown, path: string): { watched: unknown; unread: () => string[] } {
  return typeof value === 'object' && value !== null
    ? watch(value, path)
    : { watched: value, unread: () => [] };
}
