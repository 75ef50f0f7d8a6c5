import { hash } from 'node:crypto';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type, { type Static } from 'typebox';
import { prefersHtml } from './accept-header.ts';
import { ICON, NAME } from './brand.ts';

const Home = Type.Object({
  name: Type.String(),
  version: Type.String(),
  documentation: Type.String({ description: 'The calls, as a page' }),
  openapi: Type.String({ description: 'The same for programs' }),
  health: Type.String({ description: 'Should traffic come here' }),
  jwks: Type.String({ description: 'The public signing keys' }),
  metadata: Type.String({ description: 'Server metadata (RFC 8414)' }),
  sign_in: Type.String({ description: 'A page for users' }),
});

type HomePageOptions = {
  /** Start of all links. Never taken from a request. */
  publicUrl: string;
  version: string;
};

/** What is at the address of the server itself: a small page for people, the same as JSON for programs. */
export const homePage: FastifyPluginAsyncTypebox<HomePageOptions> = async (app, { publicUrl, version }) => {
  const home = describe(publicUrl, version);
  const page = Buffer.from(render(home));
  app.get(
    '/',
    {
      schema: {
        tags: ['home'],
        summary: 'Where to find what',
        response: {
          200: {
            description: 'JSON, or a page for a client that prefers HTML',
            content: {
              'application/json': { schema: Home },
              'text/html': { schema: Type.Unsafe<Buffer>({ type: 'string' }) },
            },
          },
        },
      },
    },
    async (request, reply) => {
      // CORS has added Origin already.
      reply.header('vary', [reply.getHeader('vary'), 'Accept'].join(', '));
      if (!prefersHtml(request.headers.accept)) return home;
      return reply.header('content-security-policy', POLICY).type('text/html; charset=utf-8').send(page);
    },
  );
};

function describe(publicUrl: string, version: string): Static<typeof Home> {
  return {
    name: NAME,
    version,
    documentation: `${publicUrl}/docs`,
    openapi: `${publicUrl}/openapi.json`,
    health: `${publicUrl}/health/ready`,
    jwks: `${publicUrl}/.well-known/jwks.json`,
    metadata: `${publicUrl}/.well-known/oauth-authorization-server`,
    sign_in: `${publicUrl}/ui/sign-in`,
  };
}

const STYLE = `
:root { color-scheme: light dark; --paper: #faf7f1; --ink: #211d17; --soft: #635b4e; --line: #e2dacb; --accent: #14624f }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #eeebe4; --soft: #aeb0ab; --line: #2e353a; --accent: #7fd1b5 }
}
body { margin: 0 auto; padding: 3rem 1.25rem; max-width: 36rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { margin: 0; font-size: 2rem; line-height: 1.2 }
p { margin: 0.5rem 0 0 }
small, span { color: var(--soft); font-size: 0.9rem }
ul { margin: 2rem 0 0; padding: 0; list-style: none }
li { padding: 0.75rem 0; border-top: 1px solid var(--line) }
a { display: inline-block; color: var(--accent); font-weight: 600 }
span { display: block }
`;

/** The page has no script, and no style or image but its own. */
const POLICY = [
  `default-src 'none'`,
  `style-src 'sha256-${hash('sha256', STYLE, 'base64')}'`,
  'img-src data:',
  ...[`base-uri 'none'`, `form-action 'none'`, `frame-ancestors 'none'`],
].join('; ');

function render({ version, sign_in, ...forPrograms }: Static<typeof Home>): string {
  const { documentation, openapi, health, jwks, metadata } = forPrograms;
  const links = [
    link(sign_in, 'Sign in', 'The pages for users: sign up, sign in, set a new password'),
    link(documentation, 'Documentation of the API', 'Every call, with its fields and errors'),
    link(openapi, 'OpenAPI document', 'The same for programs'),
    link(health, 'Health', 'Whether the database and the cache answer'),
    link(jwks, 'Public keys (JWKS)', 'What services check access tokens with'),
    link(metadata, 'OAuth server metadata', 'Issuer and endpoints, as RFC 8414 has them'),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${NAME}</title>
<link rel="icon" href="data:image/svg+xml;base64,${Buffer.from(ICON).toString('base64')}">
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${NAME} <small>${escapeHtml(version)}</small></h1>
<p>An auth server. Applications sign their users in with it.</p>
</header>
<main>
<ul>
${links.join('\n')}
</ul>
</main>
</body>
</html>
`;
}

function link(url: string, name: string, explanation: string): string {
  return `<li><a href="${escapeHtml(url)}">${name}</a><span>${explanation}</span></li>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
