package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/test/redistest"
)

// TestStoreMovesToRedisAndBack is an installation that outgrows its machine, and
// changes its mind: everything comes along, secrets, people and tokens too.
func TestStoreMovesToRedisAndBack(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"OAUTH_USER_USERS=local:alice"}, "protect", "app.localhost", mirror(t).URL)
	admin := s.admin()
	look := func(backend string) {
		t.Helper()
		if got := get(t, s.client(), s.Direct+"/system/info", bearer(admin.token)); got.StatusCode != http.StatusOK || !strings.Contains(got.Body, `"backend":"`+backend+`"`) {
			t.Errorf("an old token at the %s store: %d %s", backend, got.StatusCode, got.Body)
		}
		keys := s.local("store", "keys", "--format", "json")
		for _, want := range []string{`"proxy:app.localhost"`, `"user:alice"`, `"oauth:keys"`} {
			if !strings.Contains(keys, want) {
				t.Errorf("store keys at the %s store lacks %s: %s", backend, want, keys)
			}
		}
		if got := s.local("store", "keys", "prox*:a*t", "--format", "json"); !strings.Contains(got, "proxy:app.localhost") || strings.Contains(got, "proxy:localhost") {
			t.Errorf("store keys with a glob: %s", got)
		}
		if got := s.local("store", "info", "--format", "json"); !strings.Contains(got, `"backend":"`+backend+`"`) || !strings.Contains(got, `"state":"ok"`) {
			t.Errorf("store info: %s", got)
		}
		if got := s.local("store", "get", "user:alice", "--format", "json"); !strings.Contains(got, `"hash":"********"`) || strings.Contains(got, "argon2id") {
			t.Errorf("store get shows a password's hash: %s", got)
		}
		if got := s.local("store", "get", "oauth:keys", "--format", "json"); !strings.Contains(got, `"value":"******** (`) {
			t.Errorf("store get shows the sealed keys: %s", got)
		}
	}
	look("embedded")
	if _, errs, code := s.cli("--local", "store", "push"); code == 0 || !strings.Contains(errs, "nothing to decide") {
		t.Errorf("store push at the embedded store: %d %s", code, errs)
	}
	s.stop()

	server := redistest.Start(t, redistest.Options{Password: redisPassword})
	data := filepath.Join(s.dir, "data")
	key, err := os.ReadFile(filepath.Join(data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "REDIS_PASSWORD="+redisPassword)
	t.Log(s.must("store", "migrate", "--from", data, "--to", server.URL()))
	if _, errs, code := s.cli("store", "migrate", "--from", data, "--to", server.URL()); code == 0 || !strings.Contains(errs, "empty it first") {
		t.Errorf("a second migration: %d %s", code, errs)
	}
	if _, errs, code := s.cli("store", "migrate", "--from", data, "--to", "redis://:secret@"+server.Addr()); code == 0 || !strings.Contains(errs, "REDIS_PASSWORD") || strings.Contains(errs, "secret@") {
		t.Errorf("a password on the command line: %d %s", code, errs)
	}
	plain := s.env
	s.env, s.args = append(s.env, "REDIS_URL="+server.URL(), "SECRET_KEY="+strings.TrimSpace(string(key))), []string{"serve"}
	s.run()
	look("redis")
	if !strings.Contains(s.said(), "DATA_DIR holds an embedded store, which is not used") {
		t.Error("nobody is told that the embedded store is not used any more")
	}
	admin.create("later.localhost", "http://127.0.0.1:9")
	s.stop()

	back := filepath.Join(s.dir, "back")
	s.env = plain
	t.Log(s.must("store", "migrate", "--from", server.URL(), "--to", "file://"+back))
	if err := os.WriteFile(filepath.Join(back, "secret.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"local.key", "listen.json"} {
		_ = os.Remove(filepath.Join(data, name))
	}
	if err := os.Rename(data, data+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(back, data); err != nil {
		t.Fatal(err)
	}
	s.run()
	look("embedded")
	admin.do("GET", "/proxies/later.localhost", "", http.StatusOK)
}
