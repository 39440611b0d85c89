package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"gatehouse/internal/fault"
)

// deviceCode begins the device flow (RFC 8628, section 3.1).
func (s *Server) deviceCode(ctx context.Context, r *request) error {
	f, err := r.readForm()
	if err != nil {
		return err
	}
	c, err := s.authenticate(ctx, r, f)
	if err != nil {
		return err
	}
	if !c.may(grantDevice) || !offers(r.place.host.Proxy.OAuthServerGrantTypes, grantDevice) {
		return newError("unauthorized_client", "This client is not registered for the device flow")
	}
	target, scopes, err := s.wanted(r.place, f)
	if err != nil {
		return err
	}
	p := Pending{Issuer: r.place.issuer, Host: r.place.name, ClientID: c.ID, ClientName: c.Name, Known: c.Known,
		Program: s.programs.name(c, ""), Resource: target.resource, Scopes: scopes, Address: r.from().String(), UserAgent: clip(r.UserAgent(), 200)}
	deviceCode, userCode, err := s.startDevice(ctx, r, p)
	if err != nil {
		return err
	}
	page := r.place.signIn + "/device"
	s.noteFlow(ctx, step{action: "device_code", pending: &p})
	writeJSON(r.w, http.StatusOK, deviceAnswer{deviceCode, userCode, page, page + "?user_code=" + url.QueryEscape(userCode),
		int64(s.opt.SessionTimeout / time.Second), int64(deviceInterval / time.Second)})
	return nil
}

// deviceAnswer is the device authorization response.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Page       string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
	Interval   int64  `json:"interval"`   // seconds
}

// startDevice stores a waiting device under both its codes.
func (s *Server) startDevice(ctx context.Context, r *request, p Pending) (deviceCode, typed string, err error) {
	now, err := s.kv.Now(ctx)
	if err != nil {
		return "", "", err
	}
	deviceCode = newSecret()
	p.Device, p.CreatedAt = hashed(deviceCode), now
	for range 5 { // a user code that is in use already is drawn again
		typed = newUserCode()
		_, err = s.entered.Create(ctx, hashed(typed), p.Device, s.opt.SessionTimeout)
		if !fault.Is(err, fault.Exists) {
			break
		}
	}
	if err != nil {
		return "", "", err
	}
	d := device{Pending: p, UserCode: hashed(typed), Status: deviceWaiting, Expires: now.Add(s.opt.SessionTimeout), Interval: deviceInterval}
	s.makeRoom(ctx, s.flight.devices.add(network(r.from()).String(), p.Device, s.opt.SessionTimeout), func(old string) error { return s.dropDevice(ctx, old) })
	_, err = s.devices.Create(ctx, p.Device, d, s.deviceMemory())
	return deviceCode, typed, err
}

// dropDevice removes a device and its user code, to make room.
func (s *Server) dropDevice(ctx context.Context, name string) error {
	row, err := s.devices.Take(ctx, name)
	if err != nil {
		return err
	}
	return s.entered.Delete(ctx, row.Value.UserCode)
}

// tokenByDevice answers a device that polls (RFC 8628, section 3.4).
func (s *Server) tokenByDevice(ctx context.Context, r *request, f form, c *Client) error {
	if f.get("device_code") == "" {
		return invalidRequest("device_code is missing")
	}
	name := hashed(f.get("device_code"))
	for range retries {
		err := s.poll(ctx, r, f, c, name)
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return errBusy
}

// poll is one attempt; Conflict means that the record changed meanwhile.
func (s *Server) poll(ctx context.Context, r *request, f form, c *Client, name string) error {
	row, err := s.devices.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return invalidGrant("device_unknown", "the device code is not known, or was used already")
	}
	if err != nil {
		return err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	d := row.Value
	if err := s.deviceFits(&d, f, c, r.place.issuer); err != nil {
		return err
	}
	switch {
	case !now.Before(d.Expires):
		return newError("expired_token", "the device code has expired: start again")
	case d.Status == deviceDenied:
		return denied("the person refused", "device_refused")
	case d.Status == deviceApproved:
		return s.redeemDevice(ctx, r, c, name, now)
	}
	return s.wait(ctx, name, row, now)
}

func (s *Server) deviceFits(d *device, f form, c *Client, issuer string) error {
	if d.Pending.Issuer != issuer || d.Pending.ClientID != c.ID {
		return invalidGrant("device_client", "the device code was issued to another client")
	}
	uri, err := f.resource()
	if err != nil || uri == "" {
		return err
	}
	if target, ok := s.audienceOf(issuer, uri); !ok || target.resource != d.Pending.Resource {
		return errTarget("resource differs from that of the device request")
	}
	return nil
}

// wait tells a device to go on polling, slower when it came too soon. A little
// earliness is the network's.
func (s *Server) wait(ctx context.Context, name string, row deviceRow, now time.Time) error {
	d := row.Value
	tooSoon := now.Sub(d.Polled) < d.Interval-time.Second/2
	d.Polled = now
	if tooSoon {
		d.Interval += deviceInterval
	}
	if _, err := s.devices.Update(ctx, name, d, row.Version, max(d.Expires.Sub(now), 0)+10*time.Minute); err != nil {
		return err
	}
	if tooSoon {
		return newError("slow_down", "polled too soon: wait five seconds longer between polls")
	}
	return newError(pendingDevice, "nobody has approved the device yet")
}

// redeemDevice gives the tokens. The record is taken: of several polls one gets
// them.
func (s *Server) redeemDevice(ctx context.Context, r *request, c *Client, name string, now time.Time) error {
	row, err := s.devices.Take(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return invalidGrant("device_unknown", "the device code is not known, or was used already")
	}
	if err != nil {
		return err
	}
	s.flight.devices.remove(name)
	d := row.Value
	if err := s.knowUser(ctx, d.Person.User); err != nil {
		return err
	}
	if s.endedSince(c.ID, &d.Person, d.Pending.Resource, d.Approved) {
		return invalidGrant("revoked", "the sign-in behind this device has ended")
	}
	g := Grant{ID: newID(), Issuer: d.Pending.Issuer, ClientID: c.ID, Client: c.Name, Person: d.Person, Resource: d.Pending.Resource,
		Scopes: d.Scopes, CreatedAt: now, LastUsed: now}
	answer, err := s.begin(ctx, c, g, d.Approved, now)
	if err != nil {
		return err
	}
	s.noteUse(ctx, c, now)
	s.sendTokens(ctx, r, c, &g, "device_code", answer)
	return nil
}
