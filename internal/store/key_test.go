package store_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

func TestKeyFileIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	var group sync.WaitGroup
	keys := make([][]byte, 20)
	for i := range keys {
		group.Go(func() {
			key, err := store.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	group.Wait()
	for _, key := range keys {
		if len(key) != store.KeySize || !bytes.Equal(key, keys[0]) {
			t.Fatalf("got key %x, another caller got %x", key, keys[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file has mode %v (%v), want 0600", info.Mode(), err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Fatalf("the folder has %v (%v), want the key alone", files, err)
	}
}

func TestKeyFileThatIsNoGoodIsRefused(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(newKey())
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		says string
	}{
		"readable by others": {good, 0o644, "chmod 600"},
		"readable by group":  {good, 0o640, "chmod 600"},
		"empty":              {"", 0o600, "exactly 32"},
		"not base64":         {"%%%", 0o600, "base64"},
		"too short":          {good[:20], 0o600, "exactly 32"},
		"too long":           {good[:43] + good, 0o600, "exactly 32"},
	} {
		path := filepath.Join(t.TempDir(), "secret.key")
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := store.LoadOrCreateKey(path)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want Invalid with the path and %q", name, err, c.says)
		}
		if err != nil && len(c.text) > 10 && strings.Contains(err.Error(), c.text[:10]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
		if after, _ := os.ReadFile(path); string(after) != c.text {
			t.Errorf("%s: the file was changed", name)
		}
	}
	_, err := store.LoadOrCreateKey(filepath.Join(t.TempDir(), "none", "secret.key"))
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("in a folder that is not there: got %v, want Unavailable", err)
	}
}

func TestSecretKeyIsReadInEveryBase64(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb, 0xef, 0xff, 0x01}, 8)
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		got, err := store.ParseSecretKey(" " + e.EncodeToString(key) + "\n")
		if err != nil || !bytes.Equal(got, key) {
			t.Errorf("%s: got %x, %v", e.EncodeToString(key), got, err)
		}
	}
}
