// The official TypeScript SDK's client with its OAuthClientProvider, told nothing
// but the URL of an MCP server.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { browse, callback, main, say, until } from './app.mjs';

class Provider {
  constructor(uri) {
    this.redirectUrl = uri;
    this.clientMetadata = {
      client_name: 'TypeScript SDK', redirect_uris: [uri], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    };
  }
  state() { return 'a state'; }
  clientInformation() { return this.client; }
  saveClientInformation(client) { this.client = client; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; this.saved = Date.now(); }
  codeVerifier() { return this.verifier; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  redirectToAuthorization(url) { browse(url); }
  invalidateCredentials(which) {
    say('invalidated', { which });
    if (which === 'all' || which === 'client') this.client = undefined;
    if (which === 'all' || which === 'tokens') this.kept = undefined;
  }
}

// answered are the parameters of a way back that brings no error.
const answered = ({ searchParams: back }) => {
  if (back.get('error')) throw Object.assign(new Error(back.get('error_description')), { error: back.get('error') });
  if (back.get('state') !== 'a state') throw new Error(`state came back as ${back.get('state')}`);
  return back;
};

const open = async (url, authProvider) => {
  const client = new Client({ name: 'test', version: '1' });
  const transport = new StreamableHTTPClientTransport(url, { authProvider });
  try {
    await client.connect(transport);
    return { client, transport };
  } catch (e) {
    if (!(e instanceof UnauthorizedError)) throw e; // else the browser is open
  }
  await transport.finishAuth(answered(await authProvider.callback.back()).get('code'));
  return open(url, authProvider);
};

await main(async (url) => {
  const at = await callback();
  const provider = new Provider(at.uri);
  provider.callback = at;
  const { client, transport } = await open(url, provider);
  const whoami = async (step) => {
    const { structuredContent } = await client.callTool({ name: 'whoami', arguments: {} });
    say(step, structuredContent);
  };
  const expiry = () => until(provider.saved + provider.kept.expires_in * 1000 + 500);
  await whoami('called');
  await expiry();
  await whoami('called again');
  for await (const change of createInterface({ input: process.stdin })) { // something is another way at the server
    if (change === 'the lists') await expiry();
    try {
      await whoami(`called after ${change}`);
      continue;
    } catch (e) {
      if (!(e instanceof UnauthorizedError)) throw e;
    }
    await transport.finishAuth(answered(await at.back()).get('code'));
    await whoami(`called after ${change}`);
  }
});
