// Drives the authorization server with openid-client, as an application configures it: from the metadata alone.
import * as client from "openid-client";

const { issuer, clientId, clientSecret, resource } = JSON.parse(process.argv[2]);
const options = { algorithm: "oauth2", execute: [client.allowInsecureRequests] };
const authentication = client.ClientSecretBasic(clientSecret);
const found = await client.discovery(new URL(issuer), clientId, undefined, authentication, options);

const token = await client.clientCredentialsGrant(found, { scope: "files:read", resource });
const introspected = await client.tokenIntrospection(found, token.access_token);
const answer = await client.fetchProtectedResource(found, token.access_token, new URL(resource + "/api/v1/files"), "GET");
await client.tokenRevocation(found, token.access_token);
const after = await client.tokenIntrospection(found, token.access_token);

const report = {
  expiresIn: token.expiresIn(),
  active: introspected.active,
  status: answer.status,
  activeAfter: after.active,
};
try {
  await client.clientCredentialsGrant(found, { scope: "files:everything" });
} catch (error) {
  report.refusal = { code: error.error, status: error.status };
}
try {
  await client.fetchProtectedResource(found, token.access_token, new URL(resource + "/api/v1/files"), "GET");
} catch (error) {
  // Read from WWW-Authenticate (RFC 6750 section 3).
  report.challenge = { status: error.status, scheme: error.cause[0].scheme, error: error.cause[0].parameters.error };
}
console.log(JSON.stringify(report));
