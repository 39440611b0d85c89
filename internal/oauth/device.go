package oauth

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/site"
)

// userCodeLetters are consonants only, so that no code spells a word.
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// deviceInterval is how long a device waits between polls; each poll that comes
// too soon adds as much.
const deviceInterval = 5 * time.Second

// newUserCode is eight letters in two groups: 34 bits, typed by a person.
func newUserCode() string {
	var b strings.Builder
	for b.Len() < 9 {
		if b.Len() == 4 {
			b.WriteByte('-')
		}
		b.WriteByte(randomLetter())
	}
	return b.String()
}

func randomLetter() byte {
	limit := byte(256 - 256%len(userCodeLetters)) // beyond it letters would not be equally likely
	for {
		var c [1]byte
		_, _ = rand.Read(c[:])
		if c[0] < limit {
			return userCodeLetters[int(c[0])%len(userCodeLetters)]
		}
	}
}

// userCode is a typed code in the form in which it was given out; case, spaces
// and the hyphen do not matter.
func userCode(typed string) (string, bool) {
	var letters []byte
	for i := 0; i < len(typed) && len(letters) <= 8; i++ {
		c := typed[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch {
		case c == ' ' || c == '-' || c == '\t':
		case strings.IndexByte(userCodeLetters, c) >= 0:
			letters = append(letters, c)
		default:
			return "", false
		}
	}
	if len(letters) != 8 {
		return "", false
	}
	return string(letters[:4]) + "-" + string(letters[4:]), true
}

// DeviceByUserCode is the request of the device that shows code. Ten wrong
// codes from one address end its tries for a while: TooMany. NotFound: no such
// code, or it was answered or has expired.
func (s *Server) DeviceByUserCode(ctx context.Context, v *site.Visit, typed string) (Pending, error) {
	if s.limits.userCodes.spent(v.Client) {
		return Pending{}, &fault.Error{Kind: fault.TooMany, RetryAfter: time.Minute, Public: "too many wrong codes: wait a minute, then let the device show a new one"}
	}
	code, ok := userCode(typed)
	if !ok {
		return Pending{}, s.wrongUserCode(v)
	}
	hash, err := s.entered.Get(ctx, hashed(code))
	if fault.Is(err, fault.NotFound) {
		return Pending{}, s.wrongUserCode(v)
	}
	if err != nil {
		return Pending{}, err
	}
	ctx = site.WithVisit(ctx, v)
	row, err := s.waitingDevice(ctx, hash.Value)
	if fault.Is(err, fault.NotFound) {
		return Pending{}, s.wrongUserCode(v)
	}
	return row.Value.Pending, err
}

func (s *Server) wrongUserCode(v *site.Visit) error {
	s.limits.userCodes.take(v.Client)
	return errNoDevice
}

var errNoDevice = fault.New(fault.NotFound, "no device waits with this code: check the letters, or let the device show a new code")

// waitingDevice is a device that nobody has answered yet.
func (s *Server) waitingDevice(ctx context.Context, deviceHash string) (row deviceRow, err error) {
	row, err = s.devices.Get(ctx, deviceHash)
	if err != nil {
		return row, err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return row, err
	}
	if !s.answersHere(ctx, row.Value.Pending.Host) || row.Value.Status != deviceWaiting || !now.Before(row.Value.Expires) {
		return row, errNoDevice
	}
	return row, nil
}

// ApproveDevice gives the device of a Pending with Device set what person
// approved, cut to what was asked and to what the lists give now. Of several
// answers one succeeds.
func (s *Server) ApproveDevice(ctx context.Context, deviceHash string, person Person, scopes []string) error {
	if err := s.knowUser(ctx, person.User); err != nil {
		return err
	}
	return s.answerDevice(ctx, deviceHash, func(d *device) error {
		granted, refusal := s.grantable(d.Pending, person, scopes)
		if refusal != nil {
			s.noteFlow(ctx, step{action: "device_consent", pending: &d.Pending, user: person.User, failed: refusal})
			return fault.Wrap(fault.Denied, refusal, "%s", refusal.Description)
		}
		now, err := s.kv.Now(ctx)
		d.Status, d.Person, d.Scopes, d.Approved = deviceApproved, person, granted, now
		return err
	}, person.User)
}

// RefuseDevice tells the device that its person said no.
func (s *Server) RefuseDevice(ctx context.Context, deviceHash string) error {
	return s.answerDevice(ctx, deviceHash, func(d *device) error {
		d.Status = deviceDenied
		return nil
	}, "")
}

// answerDevice changes a waiting device and ends its user code. The device may
// poll at the same moment and change the record too: then it is read again.
func (s *Server) answerDevice(ctx context.Context, deviceHash string, change func(*device) error, user string) error {
	for range retries {
		row, err := s.waitingDevice(ctx, deviceHash)
		if err != nil {
			return err
		}
		d := row.Value
		if err := change(&d); err != nil {
			return err
		}
		_, err = s.devices.Update(ctx, deviceHash, d, row.Version, s.deviceMemory())
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.entered.Delete(ctx, d.UserCode); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		s.noteFlow(ctx, step{action: "device_consent", pending: &d.Pending, user: user, message: d.Status})
		return nil
	}
	return errBusy
}

// deviceMemory is how long a device code's record stays: longer than the code
// counts, so that a late poll hears expired_token.
func (s *Server) deviceMemory() time.Duration { return s.opt.SessionTimeout + 10*time.Minute }
