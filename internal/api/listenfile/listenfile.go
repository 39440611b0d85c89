// Package listenfile is DATA_DIR/listen.json: the addresses of the Gatehouse
// that runs on this machine. `gatehouse serve` writes it, the command line
// reads it, so that neither needs to be told ports.
package listenfile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/internal/fault"
)

// Listen says where one running Gatehouse is reached. An address that it does
// not have is empty.
type Listen struct {
	PID    int    `json:"pid"`
	HTTP   string `json:"http,omitempty"`   // the localhost proxy: http://localhost:8080
	HTTPS  string `json:"https,omitempty"`  // the same by TLS, certificate from the local CA
	Direct string `json:"direct,omitempty"` // the API's direct door: http://127.0.0.1:9000
	Socket string `json:"socket,omitempty"` // path of its unix socket
}

const name = "listen.json"

// Path is where the file of dataDir is.
func Path(dataDir string) string { return filepath.Join(dataDir, name) }

// Write replaces the file in one step: readers see the old one or the new one.
func Write(dataDir string, l Listen) error {
	body, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dataDir, name+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, werr := tmp.Write(append(body, '\n'))
	if err := errors.Join(werr, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), Path(dataDir))
}

// Read is the file's content; fault.NotFound when there is none.
func Read(dataDir string) (Listen, error) {
	var l Listen
	body, err := os.ReadFile(Path(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return l, fault.Wrap(fault.NotFound, err, "no Gatehouse has run with DATA_DIR=%s", dataDir)
	}
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return Listen{}, fault.Wrap(fault.Malformed, err, "%s is damaged: restart Gatehouse, or delete it", Path(dataDir))
	}
	return l, nil
}

// Remove deletes the file if the process pid wrote it; another's is left alone.
func Remove(dataDir string, pid int) error {
	l, err := Read(dataDir)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && l.PID != pid:
		return nil
	case err != nil:
		return err
	}
	return os.Remove(Path(dataDir))
}
