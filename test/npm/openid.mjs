// openid-client (panva, v6) as a plain OAuth client: from the challenge to the
// metadata, registration, code with PKCE, refresh. An argument names the way in
// which it registers to prove itself.
import * as oauth from 'openid-client';
import { browse, callback, main, say, until } from './app.mjs';

const ways = {
  none: oauth.None, client_secret_basic: oauth.ClientSecretBasic, client_secret_post: oauth.ClientSecretPost,
};
const question = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } });
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

await main(async (url) => {
  const way = process.argv[3];
  const challenged = await fetch(url, { method: 'POST', headers, body: question });
  const where = /resource_metadata="([^"]*)"/.exec(challenged.headers.get('www-authenticate'))?.[1];
  const { resource, authorization_servers: [issuer], scopes_supported: scopes } = await (await fetch(where)).json();

  const at = await callback();
  let server = await oauth.dynamicClientRegistration(new URL(issuer), {
    client_name: `openid-client ${way}`, redirect_uris: [at.uri], token_endpoint_auth_method: way,
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  }, way === 'none' ? oauth.None() : undefined, { algorithm: 'oauth2' });
  if (way !== 'none') { // the secret came with the registration
    const { client_id, client_secret } = server.clientMetadata();
    server = await oauth.discovery(new URL(issuer), client_id, undefined, ways[way](client_secret), { algorithm: 'oidc' });
  }

  const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
  browse(oauth.buildAuthorizationUrl(server, {
    redirect_uri: at.uri, scope: scopes.join(' '), resource, code_challenge_method: 'S256',
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
  }));
  const tokens = await oauth.authorizationCodeGrant(server, await at.back(), { pkceCodeVerifier }, { resource });
  const expiry = Date.now() + tokens.expires_in * 1000;

  const whoami = async (step, token) => {
    const answer = await oauth.fetchProtectedResource(server, token, url, 'POST', question, new Headers(headers));
    say(step, (await answer.json()).result.structuredContent);
  };
  await whoami('called', tokens.access_token);
  if (way === 'none') {
    await until(expiry + 500);
    try {
      await whoami('an expired token counted', tokens.access_token);
    } catch (e) {
      say('expired', { challenge: e.cause?.[0]?.parameters?.error });
    }
  }
  const fresh = await oauth.refreshTokenGrant(server, tokens.refresh_token); // resource left out
  await whoami('called again', fresh.access_token);
  if (way !== 'none') {
    const told = await oauth.tokenIntrospection(server, fresh.access_token);
    say('introspected', { active: told.active });
  }
  await oauth.tokenRevocation(server, fresh.refresh_token);
  try {
    await oauth.refreshTokenGrant(server, fresh.refresh_token);
  } catch (e) {
    say('revoked', { error: e.error });
  }
});
