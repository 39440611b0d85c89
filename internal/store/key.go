package store

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/internal/fault"
	"gatehouse/internal/store/disk"
)

// ParseSecretKey decodes a SECRET_KEY: 32 bytes in base64, in the standard or
// the URL alphabet, padded or not.
func ParseSecretKey(text string) ([]byte, error) {
	raw := bytes.TrimRight(bytes.TrimSpace([]byte(text)), "=")
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(raw, "-_") {
		encoding = base64.RawURLEncoding
	}
	key, err := encoding.AppendDecode(nil, raw)
	if err != nil {
		return nil, fault.BadField("SECRET_KEY", "must be base64") // not the cause: it could quote the secret
	}
	return key, CheckSecretKey(key)
}

// maxKeyFile is more than any key file has.
const maxKeyFile = 1024

// LoadOrCreateKey is the SECRET_KEY in the file at path, a new random one when
// there is no such file. Only this user may read it; a file open to others is
// refused, because its secret is none.
func LoadOrCreateKey(path string) ([]byte, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fault.Wrap(fault.Unavailable, err, "the key file %s can't be made", path)
	}
	return loadKey(path) // another process may have been first: then its key counts
}

func loadKey(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the key file %s can't be opened", path)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the key file %s can't be read", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "the key file %s is open to other users (mode %04o): chmod 600 it, and change the key if they may have read it", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the key file %s can't be read", path)
	}
	key, err := ParseSecretKey(string(text))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the key file %s is no good", path)
	}
	return key, nil
}

// createKey makes the file whole or not at all, and never over another.
func createKey(path string) error {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	part, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	_, err = part.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	err = errors.Join(err, part.Sync(), part.Close())
	if err == nil {
		err = os.Link(part.Name(), path)
	}
	return errors.Join(err, os.Remove(part.Name()), disk.SyncFolder(filepath.Dir(path)))
}
