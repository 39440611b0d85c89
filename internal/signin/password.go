package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"gatehouse/internal/fault"
)

// Bounds of a password. The upper one keeps a request from buying long hashing
// with a long text.
const (
	MinPassword = 10   // characters
	MaxPassword = 1024 // bytes
)

// cost is the work of one hash: the second recommendation of RFC 9106, section 4.
type cost struct {
	memory uint32 // KiB
	time   uint32 // passes
	lanes  uint8
}

var recommended = cost{memory: 64 << 10, time: 3, lanes: 4}

const (
	saltSize = 16
	hashSize = 32

	maxHashes  = 4  // at once, whatever the machine: 256 MiB
	maxWaiting = 64 // for a free place; more are turned away
)

// Hasher makes and checks password hashes: argon2id (RFC 9106) as PHC strings.
// Each takes 64 MiB for a moment, so only a few run at once and a bounded number
// waits: a flood of sign-ins costs time, not memory.
type Hasher struct {
	cost    cost
	running chan struct{}
	waiting chan struct{}
	decoy   string // a hash of nothing anybody knows, for names that do not exist
}

// NewHasher is a hasher with the recommended cost.
func NewHasher() *Hasher { return newHasher(recommended) }

func newHasher(c cost) *Hasher {
	h := &Hasher{
		cost:    c,
		running: make(chan struct{}, min(maxHashes, runtime.GOMAXPROCS(0))),
		waiting: make(chan struct{}, maxWaiting),
	}
	h.decoy = encode(c, random(saltSize), random(hashSize))
	return h
}

// ValidPassword says what is wrong with a new password for the account called
// name, as a rule to be read after "password"; empty when nothing is.
func ValidPassword(name, password string) string {
	switch {
	case utf8.RuneCountInString(password) < MinPassword:
		return fmt.Sprintf("must have at least %d characters; a few words in a row are easy to remember", MinPassword)
	case len(password) > MaxPassword:
		return fmt.Sprintf("must have at most %d bytes", MaxPassword)
	case !utf8.ValidString(password):
		return "must be text in UTF-8"
	case strings.EqualFold(password, name) || strings.Count(password, password[:1]) == len(password):
		return "must not be the name or one character repeated"
	}
	return ""
}

// Hash is the PHC string for a password. Invalid names the rule that a password
// breaks; TooMany means that too many wait already.
func (h *Hasher) Hash(ctx context.Context, name, password string) (string, error) {
	if rule := ValidPassword(name, password); rule != "" {
		return "", fault.BadField("password", "%s", rule)
	}
	return h.again(ctx, password)
}

// again is Hash for a password that was accepted before, whatever the rules were.
func (h *Hasher) again(ctx context.Context, password string) (string, error) {
	done, err := h.place(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := random(saltSize)
	return encode(h.cost, salt, derive(h.cost, password, salt, hashSize)), nil
}

// outdated reports whether phc was made at another cost than is usual now.
func (h *Hasher) outdated(phc string) bool {
	c, _, _, err := decode(phc)
	return err == nil && c != h.cost
}

// Verify reports whether password is the one that phc was made of. An empty phc
// (no such account) takes as long as any other and is never right.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (bool, error) {
	known := phc != ""
	if !known {
		phc = h.decoy
	}
	c, salt, want, err := decode(phc)
	if err != nil {
		return false, fault.Wrap(fault.Internal, err, "the stored password of this account can't be read: set a new one")
	}
	if len(password) > MaxPassword {
		password, known = "", false
	}
	done, err := h.place(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	got := derive(c, password, salt, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// place waits for a free place and answers how to give it back.
func (h *Hasher) place(ctx context.Context) (done func(), err error) {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return nil, &fault.Error{Kind: fault.TooMany, RetryAfter: 5 * time.Second,
			Public: "too many people are signing in at this moment: try again in a few seconds"}
	}
	select {
	case h.running <- struct{}{}:
		return func() { <-h.running }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func derive(c cost, password string, salt []byte, size uint32) []byte {
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.lanes, size)
}

func encode(c cost, salt, hash []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.lanes,
		b64.EncodeToString(salt), b64.EncodeToString(hash))
}

// decode reads a PHC string. The bounds keep a damaged or foreign record from
// taking the machine's memory.
func decode(phc string) (c cost, salt, hash []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return c, nil, nil, fmt.Errorf("not an argon2id hash")
	}
	var version int
	if _, err = fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return c, nil, nil, fmt.Errorf("argon2 version %q", parts[2])
	}
	if _, err = fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); err != nil {
		return c, nil, nil, fmt.Errorf("argon2 parameters: %w", err)
	}
	if c.memory < 8 || c.memory > 256<<10 || c.time < 1 || c.time > 16 || c.lanes < 1 || c.lanes > 16 {
		return c, nil, nil, fmt.Errorf("argon2 parameters out of bounds: %s", parts[3])
	}
	if salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return c, nil, nil, fmt.Errorf("argon2 salt: %w", err)
	}
	if hash, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return c, nil, nil, fmt.Errorf("argon2 hash: %w", err)
	}
	if len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
		return c, nil, nil, fmt.Errorf("argon2 salt or hash of unusual size")
	}
	return c, salt, hash, nil
}

// random is n bytes nobody can guess. crypto/rand never fails: it ends the
// program instead.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
