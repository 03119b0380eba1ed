// openid-client, an OpenID-certified client, before the test bed's own servers: `node client.mjs <settings.json>`. Each
// step throws if a server departs from the standards; the last line is "done".
//
// Settings: issuer, api (URL of the resource server), key (PKCS#8, PEM, of client "keys"), secret, initial (access token).

import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import * as client from 'openid-client';
import { createRemoteJWKSet, importPKCS8, jwtVerify } from 'jose';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const server = new URL(settings.issuer);
const secret = settings.secret;
const scope = 'api:read';
const resource = 'https://api.plant.example';
const key = await importPKCS8(settings.key, 'ES256');

const discover = (id, authentication, algorithm = 'oauth2') => client.discovery(server, id, undefined, authentication, { algorithm });

/** That a step is refused with this error code. Where the reply has a challenge, the client tells that and not the body. */
const refused = (step, error) =>
  assert.rejects(step, (why) => {
    const challenge = Array.isArray(why.cause) ? why.cause[0] : undefined;
    const told = challenge ? (challenge.parameters.error ?? (challenge.scheme === 'basic' ? 'invalid_client' : '')) : why.error;
    assert.equal(told, error);
    return true;
  });

/** Claims of an access token, verified with the server's key set. */
async function verified(config, token) {
  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
  return (await jwtVerify(token, keys, { issuer: settings.issuer, audience: resource, typ: 'at+jwt', requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'] })).payload;
}

const methods = {
  client_secret_basic: client.ClientSecretBasic(secret),
  client_secret_post: client.ClientSecretPost(secret),
  client_secret_jwt: client.ClientSecretJwt(secret),
  keys: client.PrivateKeyJwt(key),
};
for (const [id, authentication] of Object.entries(methods)) {
  for (const algorithm of ['oauth2', 'oidc']) {
    const config = await discover(id, authentication, algorithm);
    const reply = await client.clientCredentialsGrant(config, { scope, resource });
    assert.equal(reply.token_type, 'bearer');
    assert.equal((await verified(config, reply.access_token)).client_id, id);
    const api = await client.fetchProtectedResource(config, reply.access_token, new URL(settings.api), 'GET');
    assert.equal(api.status, 200);
    await refused(client.clientCredentialsGrant(config, { scope: 'other', resource }), 'invalid_scope');
  }
}
await refused(client.clientCredentialsGrant(await discover('client_secret_basic', client.ClientSecretBasic('wrong')), { scope }), 'invalid_client');

const keys = await discover('keys', methods.keys);
const pair = await client.randomDPoPKeyPair('ES256');
const DPoP = client.getDPoPHandle(keys, pair);
const bound = await client.clientCredentialsGrant(keys, { scope, resource }, { DPoP });
assert.equal(bound.token_type, 'dpop');
const api = () => client.fetchProtectedResource(keys, bound.access_token, new URL(settings.api), 'GET', undefined, undefined, { DPoP });
assert.equal((await api()).status, 200);
assert.equal((await api()).status, 200);
await assert.rejects(client.fetchProtectedResource(keys, bound.access_token, new URL(settings.api), 'GET'), (why) => why.status === 401);

const info = await client.tokenIntrospection(keys, bound.access_token);
assert.ok(info.active && info.cnf.jkt && info.token_type === 'DPoP');
await client.tokenRevocation(keys, bound.access_token);
assert.equal((await client.tokenIntrospection(keys, bound.access_token)).active, false);

const first = await client.clientCredentialsGrant(keys, { scope, resource });
const exchanged = await client.genericGrantRequest(keys, 'urn:ietf:params:oauth:grant-type:token-exchange', {
  subject_token: first.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope, resource,
});
assert.equal(exchanged.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');

const device = await discover('public', client.None());
const begun = await client.initiateDeviceAuthorization(device, { scope, resource });
const approval = new URLSearchParams({ user_code: begun.user_code, verdict: 'approve' });
setTimeout(() => fetch(begun.verification_uri, { method: 'POST', body: approval }), 500);
const granted = await client.pollDeviceAuthorizationGrant(device, begun);
const renewed = await client.refreshTokenGrant(device, granted.refresh_token);
assert.notEqual(renewed.refresh_token, granted.refresh_token);
await refused(client.refreshTokenGrant(device, granted.refresh_token), 'invalid_grant');
await refused(client.refreshTokenGrant(device, renewed.refresh_token), 'invalid_grant');

const metadata = { grant_types: ['client_credentials'], response_types: [], scope, token_endpoint_auth_method: 'client_secret_post' };
const registered = await client.dynamicClientRegistration(server, metadata, undefined, { algorithm: 'oauth2', initialAccessToken: settings.initial });
await client.clientCredentialsGrant(registered, { scope, resource });
await refused(client.dynamicClientRegistration(server, metadata, undefined, { algorithm: 'oauth2', initialAccessToken: 'other' }), 'invalid_token');

console.log('done');
