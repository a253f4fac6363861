// Drives the authorization server with oauth4webapi, which refuses every answer that a specification does not allow.
import * as oauth from "oauth4webapi";

const { issuer, clientId, clientSecret, keyClientId, privateJwk, resource } = JSON.parse(process.argv[2]);
const insecure = { [oauth.allowInsecureRequests]: true }; // plain HTTP on the loopback
const url = new URL(issuer);

const discovery = await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure });
const server = await oauth.processDiscoveryResponse(url, discovery);

const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const key = await crypto.subtle.importKey("jwk", privateJwk, algorithm, false, ["sign"]);
const methods = {
  client_secret_basic: [{ client_id: clientId }, oauth.ClientSecretBasic(clientSecret)],
  client_secret_post: [{ client_id: clientId }, oauth.ClientSecretPost(clientSecret)],
  private_key_jwt: [{ client_id: keyClientId }, oauth.PrivateKeyJwt({ key, kid: privateJwk.kid })],
};

const report = {};
for (const [method, [client, authentication]] of Object.entries(methods)) {
  const parameters = new URLSearchParams({ scope: "files:read", resource });
  const granted = await oauth.clientCredentialsGrantRequest(server, client, authentication, parameters, insecure);
  const token = await oauth.processClientCredentialsResponse(server, client, granted);

  // The profile of RFC 9068, with the published keys.
  const request = new Request(resource, { headers: { authorization: `Bearer ${token.access_token}` } });
  const claims = await oauth.validateJwtAccessToken(server, request, resource, insecure);

  const asked = await oauth.introspectionRequest(server, client, authentication, token.access_token, insecure);
  const found = await oauth.processIntrospectionResponse(server, client, asked);

  const revoked = await oauth.revocationRequest(server, client, authentication, token.access_token, insecure);
  await oauth.processRevocationResponse(revoked);
  const askedAgain = await oauth.introspectionRequest(server, client, authentication, token.access_token, insecure);
  const after = await oauth.processIntrospectionResponse(server, client, askedAgain);

  report[method] = { scope: token.scope, audience: claims.aud, active: found.active, activeAfter: after.active };
}

const wrong = oauth.ClientSecretBasic("wrong");
const refused = await oauth.clientCredentialsGrantRequest(server, { client_id: clientId }, wrong, new URLSearchParams(), insecure);
try {
  await oauth.processClientCredentialsResponse(server, { client_id: clientId }, refused);
} catch (error) {
  report.refusal = { kind: error.constructor.name, code: error.error ?? null, status: refused.status };
}
console.log(JSON.stringify(report));
