package local

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"gatehouse/internal/fault"
)

// Put writes a definition in place of the one of its name, whole or not at all.
func (d Dir) Put(def Definition) error {
	if !nameRule.MatchString(def.Name) {
		return fault.BadField("NAME", "is a-z, 0-9, _ and -, at most 63 characters")
	}
	if err := def.Check(); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(def, "", "  ")
	if err != nil {
		return err
	}
	if len(raw) >= maxFile {
		return fault.New(fault.Invalid, "the definition is larger than %d bytes", maxFile)
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(d.path, ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(raw, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), d.file(def.Name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// Remove takes a definition away. NotFound: there is none.
func (d Dir) Remove(name string) error {
	if !nameRule.MatchString(name) {
		return fault.BadField("NAME", "is a-z, 0-9, _ and -, at most 63 characters")
	}
	err := os.Remove(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "%s is not defined on this machine", name)
	}
	return err
}
