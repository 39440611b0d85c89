// The official TypeScript SDK of the 2.x line, told nothing but the URL of an MCP
// server, in the era that the second argument names: legacy, or a version.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { browse, callback, main, say } from './app.mjs';

await main(async (url) => {
  const era = process.argv[3];
  const at = await callback();
  let registered, tokens, verifier;
  const authProvider = {
    redirectUrl: at.uri,
    clientMetadata: {
      client_name: 'TypeScript SDK 2', redirect_uris: [at.uri], token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    },
    state: () => 'a state',
    clientInformation: () => registered,
    saveClientInformation: (client) => { registered = client; },
    tokens: () => tokens,
    saveTokens: (t) => { tokens = t; },
    codeVerifier: () => verifier,
    saveCodeVerifier: (v) => { verifier = v; },
    redirectToAuthorization: (to) => browse(to),
  };
  const open = async () => {
    const client = new Client({ name: 'test', version: '2' }, { versionNegotiation: { mode: era === 'legacy' ? era : { pin: era } } });
    const transport = new StreamableHTTPClientTransport(url, { authProvider });
    try {
      await client.connect(transport);
      return client;
    } catch (e) {
      if (!(e instanceof UnauthorizedError) && !(e.cause instanceof UnauthorizedError)) throw e;
    }
    const back = (await at.back()).searchParams;
    await transport.finishAuth(back);
    return open();
  };
  const client = await open();
  const { tools } = await client.listTools();
  const { structuredContent } = await client.callTool({ name: 'whoami', arguments: {} });
  say('called', { ...structuredContent, version: client.getNegotiatedProtocolVersion(), tools: tools.map((t) => t.name) });
  await client.close();
});
