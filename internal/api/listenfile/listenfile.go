// Package listenfile is what a running Gatehouse leaves in DATA_DIR for the
// command line on the same machine: its addresses in listen.json, so that nobody
// has to be told ports, and the local CA's certificates in ca.pem, so that TLS to
// names under localhost can be checked. `gatehouse serve` writes both.
package listenfile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

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

// Path is where the addresses of dataDir are.
func Path(dataDir string) string { return filepath.Join(dataDir, "listen.json") }

// PathCA is where the local CA's certificates of dataDir are, as PEM. They stay
// when Gatehouse ends.
func PathCA(dataDir string) string { return filepath.Join(dataDir, "ca.pem") }

// WriteCA replaces the local CA's certificates in one step.
func WriteCA(dataDir string, pem []byte) error { return replace(PathCA(dataDir), pem) }

// ReadCA is the local CA's certificates as PEM; fault.NotFound when no Gatehouse
// has left any.
func ReadCA(dataDir string) ([]byte, error) {
	pem, err := os.ReadFile(PathCA(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(fault.NotFound, err, "there is no local CA in %s yet: start `gatehouse serve` once", dataDir)
	}
	return pem, err
}

// Write replaces the file in one step: readers see the old one or the new one.
func Write(dataDir string, l Listen) error {
	body, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return replace(Path(dataDir), append(body, '\n'))
}

func replace(path string, body []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, werr := tmp.Write(body)
	if err := errors.Join(werr, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
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

// Alive reports whether the Gatehouse that wrote l still runs. The file outlives
// a process that was killed, and then its ports may be anybody's, who must not be
// shown a token. The socket tells: only this account can have it open.
func (l Listen) Alive() bool {
	if l.Socket == "" {
		return l.PID > 0 && syscall.Kill(l.PID, 0) == nil
	}
	c, err := net.DialTimeout("unix", l.Socket, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close() // it answered: that is all
	return true
}
