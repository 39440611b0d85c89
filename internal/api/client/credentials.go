package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"gatehouse/internal/fault"
)

// Pair is an access token with what renews it.
type Pair struct {
	Access   string    `json:"access_token"`
	Refresh  string    `json:"refresh_token,omitempty"`
	Expires  time.Time `json:"expires_at,omitzero"`
	Scope    string    `json:"scope,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`    // renewed there and nowhere else
	ClientID string    `json:"client_id,omitempty"` // the client that it was given to
}

// renewBefore is how long before its end a token is renewed: long enough for
// the request that it is for.
const renewBefore = time.Minute

// Due reports whether p should be renewed before it is used at now.
func (p Pair) Due(now time.Time) bool {
	return p.Refresh != "" && !p.Expires.IsZero() && now.Add(renewBefore).After(p.Expires)
}

// Expired reports whether p is of no more use at now.
func (p Pair) Expired(now time.Time) bool { return !p.Expires.IsZero() && !now.Before(p.Expires) }

// Book is what the credentials file holds.
type Book struct {
	Profiles map[string]map[string]Pair `json:"profiles,omitempty"` // by profile, then by API URL
	Renewed  map[string]Pair            `json:"renewed,omitempty"`  // by hash of the pair that the environment gave
}

// Credentials is the file of token pairs, shared by parallel invocations.
type Credentials struct {
	Path string // its folder is made when needed
}

// Read is the file's content, empty when there is none.
func (c Credentials) Read() (Book, error) {
	var b Book
	info, err := os.Stat(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fault.Wrap(fault.Internal, err, "the credentials in %s can't be read", c.Path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return b, fault.New(fault.Invalid, "others on this machine may read your credentials: run `chmod 600 %s`", c.Path)
	}
	body, err := os.ReadFile(c.Path)
	if err == nil {
		err = json.Unmarshal(body, &b)
	}
	if err != nil {
		return b, fault.Wrap(fault.Invalid, err, "the credentials in %s can't be read: delete the file and sign in again", c.Path)
	}
	return b, nil
}

// Change reads the file, calls edit and writes it back, one invocation at a
// time. When edit fails nothing is written and its error comes back.
func (c Credentials) Change(ctx context.Context, edit func(*Book) error) error {
	if c.Path == "" {
		return fault.New(fault.Invalid, "there is no place for credentials: set HOME or XDG_CONFIG_HOME")
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return c.notWritten(err)
	}
	lock := flock.New(c.Path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return c.notWritten(err)
	}
	defer func() { _ = lock.Close() }() // the process's end would free it too
	b, err := c.Read()
	if err != nil {
		return err
	}
	if err := edit(&b); err != nil {
		return err
	}
	return c.write(b)
}

// write replaces the file in one step, readable by its owner alone.
func (c Credentials) write(b Book) error {
	body, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.Path), filepath.Base(c.Path)+".*") // 0600
	if err != nil {
		return c.notWritten(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, werr := tmp.Write(append(body, '\n'))
	if err := errors.Join(werr, tmp.Sync(), tmp.Close()); err != nil {
		return c.notWritten(err)
	}
	if err := os.Rename(tmp.Name(), c.Path); err != nil {
		return c.notWritten(err)
	}
	return nil
}

func (c Credentials) notWritten(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fault.Wrap(fault.Internal, err, "the credentials can't be kept in %s: %v", c.Path, err)
}

// Slot is one place in the Book.
type Slot struct {
	Profile, URL string // a profile's pair for an API …
	Hash         string // … or, when set, the successor of the pair with this hash
}

// Get is the pair in s; false when there is none.
func (s Slot) Get(b Book) (Pair, bool) {
	if s.Hash != "" {
		p, ok := b.Renewed[s.Hash]
		return p, ok
	}
	p, ok := b.Profiles[s.Profile][s.URL]
	return p, ok
}

// Put sets the pair in s.
func (s Slot) Put(b *Book, p Pair) {
	if s.Hash != "" {
		if b.Renewed == nil {
			b.Renewed = make(map[string]Pair)
		}
		b.Renewed[s.Hash] = p
		return
	}
	if b.Profiles == nil {
		b.Profiles = make(map[string]map[string]Pair)
	}
	if b.Profiles[s.Profile] == nil {
		b.Profiles[s.Profile] = make(map[string]Pair)
	}
	b.Profiles[s.Profile][s.URL] = p
}

// Delete empties s.
func (s Slot) Delete(b *Book) {
	if s.Hash != "" {
		delete(b.Renewed, s.Hash)
		return
	}
	delete(b.Profiles[s.Profile], s.URL)
	if len(b.Profiles[s.Profile]) == 0 {
		delete(b.Profiles, s.Profile)
	}
}

// HashPair names a pair without telling it.
func HashPair(access, refresh string) string {
	sum := sha256.Sum256([]byte(access + "\n" + refresh))
	return hex.EncodeToString(sum[:])
}
