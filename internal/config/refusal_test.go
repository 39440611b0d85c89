package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"gatehouse/internal/fault"
)

// Each line is one refusal, by the sentence that people read.
func TestMalformedValuesAreRefusedByNameValueAndRule(t *testing.T) {
	const key = "SECRET_KEY=aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="
	empty := file(t, "empty", "\n")
	for _, c := range []struct{ environ, want string }{
		{"HTTP_PORT=70000", `HTTP_PORT: "70000" must be a port: a whole number from 0 to 65535`},
		{"HTTP_PORT=-1", `HTTP_PORT: "-1" must be a port`},
		{"GATEHOUSE_HTTPS_PORT=https", `GATEHOUSE_HTTPS_PORT: "https" must be a port`},
		{"PUBLIC_HTTPS_PORT=0", `PUBLIC_HTTPS_PORT: "0" must be a port: a whole number from 1 to 65535`},
		{"HTTP_PORT=443", `HTTPS_PORT: must differ from HTTP_PORT: both are 443`},
		{"SERVER_HOST=example.com", `SERVER_HOST: "example.com" must be an IP address`},
		{"API_LISTEN=9000", `API_LISTEN: "9000" must be host:port such as 127.0.0.1:9000, or off`},
		{"API_LISTEN=localhost:http", `API_LISTEN: "localhost:http" must be host:port`},
		{"API_LISTEN=a b:1", `API_LISTEN: "a b:1" must be host:port`},
		{"NODE_LISTEN=node.example.com:7946", `NODE_LISTEN: "node.example.com:7946" must be address:port such as 10.0.0.5:7946, auto, or off`},
		{"TRUSTED_PROXIES=10.0.0.0/33", `TRUSTED_PROXIES: "10.0.0.0/33" must be addresses or CIDR ranges`},
		{"TRUSTED_PROXIES=proxy.example.com", `TRUSTED_PROXIES: "proxy.example.com" must be addresses or CIDR ranges`},
		{"LOCALHOST_PEERS=::ffff:10.0.0.0/104", `write IPv4 plainly`},
		{"BASE_DOMAIN=https://example.com", `BASE_DOMAIN: "https://example.com" must be a hostname`},
		{"BASE_DOMAIN=10.0.0.1", `BASE_DOMAIN: "10.0.0.1" must be a hostname`},
		{"BASE_DOMAIN=-a.example", `BASE_DOMAIN: "-a.example" must be a hostname`},
		{"BASE_DOMAIN=a_b.example", `BASE_DOMAIN: "a_b.example" must be a hostname`},
		{"BASE_DOMAIN=a..b", `BASE_DOMAIN: "a..b" must be a hostname`},
		{"BASE_DOMAIN=" + strings.Repeat("a.", 124) + "ab", `must be a hostname`},
		{"LOG_LEVEL=LOUD", `LOG_LEVEL: "LOUD" must be one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL`},
		{"LOG_FORMAT=xml", `LOG_FORMAT: "xml" must be one of auto, text, json`},
		{"LOG_RETENTION=7", `LOG_RETENTION: "7" must be a duration such as 168h`},
		{"LOG_RETENTION=-1h", `LOG_RETENTION: "-1h" must be a duration`},
		{"LOG_MAX_ENTRIES=0", `LOG_MAX_ENTRIES: "0" must be a whole number of at least 1`},
		{"LOG_MASK_SENSITIVE=maybe", `LOG_MASK_SENSITIVE: "maybe" must be true or false (on or off, 1 or 0)`},
		{"RATE_LIMITS=some", `RATE_LIMITS: "some" must be true or false`},
		{"MAX_REQUESTS_PER_IP=0", `MAX_REQUESTS_PER_IP: "0" must be off or a whole number of at least 1`},
		{"PROXY_CONNECT_TIMEOUT=30s", `PROXY_CONNECT_TIMEOUT: "30s" must be a whole number from 1 to 315360000, in seconds`},
		{"SELF_SIGNED_DAYS=0", `SELF_SIGNED_DAYS: "0" must be a whole number from 1 to 3650, in days`},
		{"CERT_KEY_TYPE=dsa", `CERT_KEY_TYPE: "dsa" must be one of ecdsa-p256, ecdsa-p384, rsa-2048, rsa-4096`},
		{"ACME_DIRECTORY_URL=ftp://ca", `ACME_DIRECTORY_URL: "ftp://ca" must be an https URL`},
		{"ACME_EMAIL=root", `ACME_EMAIL: "root" must be an e-mail address`},
		{"ACME_CA_FILE=/nonexistent/ca.pem", `ACME_CA_FILE: "/nonexistent/ca.pem" must be the path of a readable file with PEM certificates: no such file`},
		{"ACME_CA_FILE=" + empty, `there is no certificate in it`},
		{"ACME_EAB_KID=kid", `ACME_EAB_HMAC: must be set, because ACME_EAB_KID is`},
		{"DNS_PROVIDER=route53", `DNS_PROVIDER: "route53" must be one of rfc2136, exec`},
		{"DNS_PROVIDER=exec", `DNS_EXEC: must be set, because DNS_PROVIDER is`},
		{"DNS_PROVIDER=rfc2136", `DNS_RFC2136_SERVER: must be set, because DNS_PROVIDER is`},
		{"DNS_EXEC=hook.sh", `DNS_EXEC: "hook.sh" must be an absolute path`},
		{"DNS_RESOLVER=1.1.1.1:dns", `DNS_RESOLVER: "1.1.1.1:dns" must be a name server`},
		{"GITHUB_CLIENT_ID=id", `GITHUB_CLIENT_SECRET: must be set, because GITHUB_CLIENT_ID is`},
		{"GITHUB_CLIENT_SECRET=s3cr3t", `GITHUB_CLIENT_ID: must be set, because GITHUB_CLIENT_SECRET is`},
		{"GITHUB_URL=https://u:s3cr3t@git.example.com", `must be an http or https URL without user`},
		{"GITHUB_URL=https://git.example.com", `GITHUB_API_URL: must be set, because GITHUB_URL is`},
		{"OIDC_ISSUER=https://id.example.com", `OIDC_CLIENT_ID: must be set, because OIDC_ISSUER is`},
		{"OIDC_ISSUER=http://id.example.com", `OIDC_ISSUER: "http://id.example.com" must be the provider's https issuer`},
		{"OAUTH_ISSUER=https://auth.example.com/", `OAUTH_ISSUER: "https://auth.example.com/" must be an https origin`},
		{"OAUTH_ISSUER=http://auth.example.com", `OAUTH_ISSUER: "http://auth.example.com" must be an https origin`},
		{"OAUTH_ADMIN_USERS=*", `OAUTH_ADMIN_USERS: "*" must be names separated by commas, such as octocat,local:alice: * is not a name and stands for nobody here`},
		{"OAUTH_LOCALHOST_MCP_USERS=alice,*", `* is not a name`},
		{"OAUTH_USER_USERS=alice bob", `OAUTH_USER_USERS: "alice bob" must be names separated by commas`},
		{"OAUTH_ALLOWED_CLIENT_DOMAINS=https://claude.ai", `OAUTH_ALLOWED_CLIENT_DOMAINS: "https://claude.ai" must be hostnames`},
		{"OAUTH_JWT_PRIVATE_KEY_B64=s3cr3t!", `OAUTH_JWT_PRIVATE_KEY_B64: "****" must be an RSA private key of at least 2048 bits: its PEM file in base64 (base64 -w0 key.pem): it is not base64`},
		{"OAUTH_JWT_PRIVATE_KEY_B64=s3cr3t", `it holds no PEM`},
		{"OAUTH_JWT_PRIVATE_KEY_B64=" + rsaKey(t, 1024), `it has 1024 bits`},
		{"OAUTH_JWT_PRIVATE_KEY_B64=" + ecKey(t), `it is a key of another kind`},
		{"OAUTH_JWT_PRIVATE_KEY_B64=" + encode("RSA PRIVATE KEY", []byte("s3cr3t")), `damaged or encrypted`},
		{"SECRET_KEY=c2hvcnQ=", `SECRET_KEY: "****" must be 32 random bytes in base64 (openssl rand -base64 32): it has 5`},
		{"SECRET_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", `it is one byte again and again`},
		{"SECRET_KEY=s3cr3t!", `SECRET_KEY: "****" must be 32 random bytes in base64`},
		{"REDIS_URL=redis://redis", `SECRET_KEY: must be set, because REDIS_URL is`},
		{key + " REDIS_URL=http://redis", `REDIS_URL: "****" must be redis://`},
		{key + " REDIS_URL=redis://", `host or port can't be read`},
		{key + " REDIS_URL=redis://a:1,b:2", `only redis+sentinel takes several hosts`},
		{key + " REDIS_URL=redis+sentinel://a,b", `the master's name is missing`},
		{key + " REDIS_URL=redis://a/b", `the database is no number`},
		{key + " REDIS_URL=redis://u:s3cr3t?@a", `no query or fragment is known`},
		{key + " REDIS_URL=redis://u:s3cr3t%@a", `a % in user or password is written %25`},
		{"REDIS_PREFIX=a\tb", `REDIS_PREFIX: "a\tb" must be up to 64 visible ASCII characters`},
		{"ALERT_WEBHOOK_URL=hooks.example.com/s3cr3t", `ALERT_WEBHOOK_URL: "****" must be an http or https URL`},
		{"ALERT_WEBHOOK_SECRET=s3cr3t", `ALERT_WEBHOOK_URL: must be set, because ALERT_WEBHOOK_SECRET is`},
		{"DOCKER_HOST=ssh://root@host", `DOCKER_HOST: "ssh://****@host" must be unix:///path`},
		{"DOCKER_HOST=unix://", `DOCKER_HOST: "unix://" must be unix:///path`},
		{"DOCKER_API_VERSION=latest", `DOCKER_API_VERSION: "latest" must be a version such as 1.44`},
		{"DOCKER_ALLOWED_IMAGES=[", `DOCKER_ALLOWED_IMAGES: "[" must be image globs`},
		{"DOCKER_BUILD_ROOT=builds", `DOCKER_BUILD_ROOT: "builds" must be an absolute path`},
		{"METRICS_LISTEN=yes", `METRICS_LISTEN: "yes" must be host:port`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", `OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317" must be off or an http or https URL`},
		{"PROXY_INSTANCE_LISTEN=lo", `PROXY_INSTANCE_LISTEN: "lo" must be an IP address`},
		{"API_URL=gate.example.com", `API_URL: "gate.example.com" must be an http or https URL`},
		{"DATA_DIR=~/data", `DATA_DIR: "~/data" must be a path (write ~ out`},
		{"GITHUB_CLIENT_SECRET_FILE=/nonexistent/s", `GITHUB_CLIENT_SECRET_FILE: "/nonexistent/s" must be a readable file with the secret: no such file`},
		{"GITHUB_CLIENT_SECRET_FILE=" + empty, `must be a readable file with the secret: it is empty`},
		{"GITHUB_CLIENT_SECRET=s3cr3t GITHUB_CLIENT_SECRET_FILE=/x", `GITHUB_CLIENT_SECRET: must be set here or by GITHUB_CLIENT_SECRET_FILE, not by both`},
		{"OIDC_NAME=" + strings.Repeat("é", 200), `must be up to 64 characters`},
	} {
		// Only the Redis lines and the doubly set secret have two variables in them.
		environ := []string{c.environ}
		if strings.HasPrefix(c.environ, key+" ") || strings.Contains(c.environ, " GITHUB_CLIENT_SECRET_FILE") {
			environ = strings.SplitN(c.environ, " ", 2)
		}
		_, err := Load(Source{Environ: append(home, environ...)})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.environ, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the refusal shows the secret: %v", c.environ, err)
		}
	}
}

func TestUnknownNamesAreRefusedWithWhatMayHaveBeenMeant(t *testing.T) {
	for name, want := range map[string]string{
		"GATEHOUSE_HTPS_PORT":      "GATEHOUSE_HTPS_PORT: is not a variable of Gatehouse: did you mean GATEHOUSE_HTTPS_PORT?",
		"GATEHOUSE_LOGLEVEL":       "did you mean GATEHOUSE_LOG_LEVEL?",
		"GATEHOUSE_":               "GATEHOUSE_: is not a variable of Gatehouse",
		"GATEHOUSE_NONSENSE":       "GATEHOUSE_NONSENSE: is not a variable of Gatehouse",
		"GATEHOUSE_HTTP_PORT_FILE": "HTTP_PORT is no secret and is not read from a file",
		"GATEHOUSE_SERVICE_HOST":   "enableServiceLinks: false",
		"GATEHOUSE_PORT_443_TCP":   "enableServiceLinks: false",
	} {
		for _, src := range []Source{{Environ: append(home, name+"=x")}, {Environ: home, Dotenv: file(t, ".env", name+"=x\n")}} {
			_, err := Load(src)
			if !fault.Is(err, fault.Invalid) || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
	if _, err := Load(Source{Environ: home, Flags: map[string]string{"PORT": "1"}}); err == nil {
		t.Error("a flag for no variable was accepted")
	}
	load(t, "HTPS_PORT=x", "GATEHOUSE=x") // nobody's business
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := Load(Source{Environ: []string{"HTTP_PORT=a", "LOG_LEVEL=b", "GATEHOUSE_X=c", "GITHUB_CLIENT_ID=d"}})
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || len(e.Fields) != 5 { // the four and DATA_DIR, for want of a home folder
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "DATA_DIR: must be set: neither XDG_DATA_HOME nor HOME") {
		t.Error(err)
	}
}

func TestADamagedDotenvIsRefusedWithoutShowingIt(t *testing.T) {
	for content, line := range map[string]string{
		"A=1\nSECRET KEY=hunter2\n":        "line 2",
		"A=1\n\n# fine\nhunter2\n":         "line 4",
		"A=1\nB=\"hunter2\n":               "line 2",
		strings.Repeat("A=hunter2\n", 2e5): "larger than 1 MiB",
	} {
		_, err := Load(Source{Environ: home, Dotenv: file(t, ".env", content)})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), line) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.30q: %v", content, err)
		}
	}
	if _, err := Load(Source{Environ: home, Dotenv: t.TempDir()}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a folder: %v", err)
	}
}

func rsaKey(t *testing.T, bits int) string {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func ecKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PRIVATE KEY", der)
}

func encode(kind string, der []byte) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
