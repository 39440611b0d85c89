package localauth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"gatehouse/internal/fault"
)

// Load reads the key of the Gatehouse whose data folder this is. Denied: the
// file belongs to somebody else. NotFound: there is none; nothing has been served
// from that folder yet. Invalid: others could read it, or it holds no key.
func Load(dataDir string) (Key, error) {
	path := Path(dataDir)
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0) // a link could lead to a key of somebody else's
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Key{}, fault.Wrap(fault.NotFound, err, "there is no %s: start gatehouse serve first, or name its DATA_DIR", path)
	case errors.Is(err, fs.ErrPermission):
		return Key{}, fault.Wrap(fault.Denied, err, "%s belongs to another account: --local works for the one that serves", path)
	case err != nil:
		return Key{}, fault.Wrap(fault.Unavailable, err, "%s can't be opened", path)
	}
	defer file.Close()
	if err := private(file, path); err != nil {
		return Key{}, err
	}
	text, err := io.ReadAll(io.LimitReader(file, 1024))
	if err != nil {
		return Key{}, fault.Wrap(fault.Unavailable, err, "%s can't be read", path)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != keySize {
		return Key{}, fault.New(fault.Invalid, "%s holds no key: remove it and start gatehouse serve again", path)
	}
	return Key{secret}, nil
}

// LoadOrCreate is Load, with a new key where there is none.
func LoadOrCreate(dataDir string) (Key, error) {
	key, err := Load(dataDir)
	if !fault.Is(err, fault.NotFound) {
		return key, err
	}
	if err := create(Path(dataDir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fault.Wrap(fault.Unavailable, err, "%s can't be made", Path(dataDir))
	}
	return Load(dataDir) // another process may have been first: then its key counts
}

func private(file *os.File, path string) error {
	info, err := file.Stat()
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s can't be read", path)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return fault.New(fault.Invalid, "%s is open to other accounts (mode %04o): remove it and start gatehouse serve again", path, mode.Perm())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return fault.New(fault.Denied, "%s belongs to another account: --local works for the one that serves", path)
	}
	return nil
}

// create makes the file whole or not at all, and never over another.
func create(path string) error {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	part, err := os.CreateTemp(filepath.Dir(path), ".local-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part.Name()) }() // linked by then, or of no use
	_, err = part.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	return os.Link(part.Name(), path)
}
