package cert_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Go's own verifier is not the only one: these have rules of their own for
// wildcards, key usage, key identifiers and constraints.
func TestCurlNodeAndOpenSSLAcceptTheCertificates(t *testing.T) {
	k := keeper(t, disk(t), wanted...)
	port := listen(t, k)
	ca := write(t, "ca.pem", k.CAPEM())
	for _, name := range []string{"localhost", "app.localhost", "anything.localhost", "x.test", "one.apps.test", "nas.home.arpa"} {
		url := "https://" + name + ":" + port + "/"
		run(t, "hello", nil, "curl", "-sS", "--cacert", ca, "--connect-to", "::127.0.0.1:"+port, url)
		run(t, "Verify return code: 0 (ok)", nil, "openssl", "s_client", "-connect", "127.0.0.1:"+port, "-servername", name,
			"-verify_hostname", name, "-CAfile", ca, "-x509_strict", "-verify_return_error")
		run(t, "hello", []string{"NODE_EXTRA_CA_CERTS=" + ca}, "node", "-e", `require("https").get("`+url+
			`",{lookup:(h,o,c)=>o.all?c(null,[{address:"127.0.0.1",family:4}]):c(null,"127.0.0.1",4)},r=>r.pipe(process.stdout)).on("error",e=>{console.error(e);process.exit(1)})`)
	}
	run(t, "hello", nil, "curl", "-sSk", "--connect-to", "::127.0.0.1:"+port, "https://app.example.com:"+port+"/")
}

// Chromium trusts what lies in the NSS store of its home folder.
func TestChromiumAcceptsTheCertificates(t *testing.T) {
	for _, program := range []string{"chromium", "certutil"} {
		need(t, program)
	}
	k := keeper(t, disk(t), wanted...)
	port := listen(t, k)
	home, err := os.MkdirTemp("", "chromium") // not t.TempDir: what Chromium leaves behind for a moment would fail it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	db := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "", nil, "certutil", "-d", "sql:"+db, "-N", "--empty-password")
	visit := func(name, want string) {
		run(t, want, []string{"HOME=" + home}, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
			"--user-data-dir="+filepath.Join(home, "profile"), "--host-resolver-rules=MAP * 127.0.0.1", "--dump-dom", "https://"+name+":"+port+"/")
	}
	visit("app.localhost", "ERR_CERT_AUTHORITY_INVALID")
	run(t, "", nil, "certutil", "-d", "sql:"+db, "-A", "-t", "C,,", "-n", "local", "-i", write(t, "ca.pem", k.CAPEM()))
	for _, name := range []string{"app.localhost", "anything.localhost", "x.test", "one.apps.test"} {
		visit(name, "hello")
	}
}

// run runs a program that the test needs and expects want in its output.
func run(t *testing.T, want string, env []string, name string, args ...string) {
	t.Helper()
	need(t, name)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// need skips the test where a program is not installed, or fails it where nothing
// may be skipped.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
		t.Fatalf("%s is not here and nothing may be skipped", program)
	}
	t.Skipf("%s is not here", program)
}
