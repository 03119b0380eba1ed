// npm's oidc-provider on loopback under TLS. `node server.mjs <settings.json>` prints {"port": …} when it listens and
// ends when its standard input does, so that it never outlives the test that started it.
//
// Settings: cert, key, ca (PEM), clients (RFC 7591 metadata), resources ({ uri: scopes }), audiences ({ uri: aud }),
// initialAccessToken, nonce (demand DPoP nonces), lifetime (seconds of an access token), codeLifetime (of a device code).

import { X509Certificate, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider, errors } from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
console.info = console.error; // standard output carries the port and nothing else
process.stdin.resume().on('end', () => process.exit(0));

const signing = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });

// The provider's defaults ask for browser log-in; these clients have none.
const defaults = { id_token_signed_response_alg: 'ES256', redirect_uris: [], response_types: [] };

/** The client certificate of a request, none if there is none. */
function certificate(ctx) {
  const raw = ctx.socket.getPeerCertificate()?.raw;
  return raw && new X509Certificate(raw);
}

/** Values of one kind among the alternative names. */
const alternative = (cert, kind) =>
  (cert.subjectAltName ?? '').split(', ').filter((name) => name.startsWith(`${kind}:`)).map((name) => name.slice(kind.length + 1));

const matches = {
  tls_client_auth_subject_dn: (cert, wanted) => cert.subject.split('\n').reverse().join(',') === wanted,
  tls_client_auth_san_dns: (cert, wanted) => alternative(cert, 'DNS').includes(wanted),
  tls_client_auth_san_uri: (cert, wanted) => alternative(cert, 'URI').includes(wanted),
  tls_client_auth_san_ip: (cert, wanted) => alternative(cert, 'IP Address').includes(wanted),
  tls_client_auth_san_email: (cert, wanted) => alternative(cert, 'email').includes(wanted),
};

const configuration = {
  clients: settings.clients.map((client) => ({ ...defaults, ...client })),
  jwks: { keys: [{ ...signing, alg: 'ES256', use: 'sig' }] },
  clientAuthMethods: [
    'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth',
    'self_signed_tls_client_auth',
  ],
  scopes: ['openid', 'offline_access', ...new Set(Object.values(settings.resources).join(' ').split(' '))],
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  ttl: { AccessToken: settings.lifetime, ClientCredentials: settings.lifetime, DeviceCode: settings.codeLifetime, Grant: 86_400, IdToken: 600, RefreshToken: 86_400 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => settings.nonce },
    introspection: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: certificate,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, wanted) => matches[property](certificate(ctx), wanted),
    },
    registration: { enabled: true, initialAccessToken: settings.initialAccessToken },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, uri) => {
        if (!Object.hasOwn(settings.resources, uri)) throw new errors.InvalidTarget();
        return {
          scope: settings.resources[uri], audience: settings.audiences[uri] ?? uri,
          accessTokenTTL: settings.lifetime, accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        };
      },
      useGrantedResource: () => true,
    },
    revocation: { enabled: true },
  },
};

/** What a person at a browser would do with a user code: POST /approve or /deny with it as body. */
async function decide(provider, request, response) {
  let typed = '';
  for await (const chunk of request) typed += chunk;
  const code = await provider.DeviceCode.findByUserCode(typed.trim().toUpperCase().replaceAll(/[^A-Z0-9]/g, ''));
  if (!code) return response.writeHead(404).end();
  if (request.url === '/deny') {
    Object.assign(code, { error: 'access_denied', errorDescription: 'a person said no' });
  } else {
    const grant = new provider.Grant({ accountId: 'person', clientId: code.clientId });
    const { scope = '', resource } = code.params;
    grant.addOIDCScope(scope);
    for (const uri of [resource ?? []].flat()) grant.addResourceScope(uri, scope);
    const authTime = Math.floor(Date.now() / 1000);
    Object.assign(code, { accountId: 'person', grantId: await grant.save(), scope, resource, authTime });
  }
  await code.save();
  return response.writeHead(204).end();
}

const server = createServer({
  cert: settings.cert, key: settings.key, ca: settings.ca, requestCert: true, rejectUnauthorized: false,
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`https://localhost:${port}`, configuration);
  provider.on('server_error', (ctx, error) => console.error(error));
  const callback = provider.callback();
  server.on('request', (request, response) => {
    const person = request.method === 'POST' && ['/approve', '/deny'].includes(request.url);
    return person ? decide(provider, request, response) : callback(request, response);
  });
  console.log(JSON.stringify({ port }));
});
